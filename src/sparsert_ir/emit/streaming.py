"""Stores that do not stay in a GPU's caches: `st.global.cs`.

LLVM's NVPTX backend drops `!nontemporal` (LLVM 22) and has no intrinsic for the cache operator, so
the instruction is written as inline assembly.
Reference: PTX ISA, "Cache Operators", https://docs.nvidia.com/cuda/parallel-thread-execution/
"""

from dataclasses import dataclass

from sparsert_ir.emit.function_writer import FunctionWriter
from sparsert_ir.emit.literals import ELEMENT_BYTES

_REGISTERS = {("half", 1): "h", ("half", 2): "r", ("bfloat", 1): "h", ("bfloat", 2): "r",
              ("float", 1): "f", ("double", 1): "d"}  # fmt: skip
"""(Element, elements in one register) -> constraint of inline assembly."""
_LARGEST_STORE = 16
"""Bytes."""
_LARGEST_OFFSET = 2**31 - 1
"""Bytes that an address in PTX can add to a register."""


@dataclass(frozen=True)
class StreamedLane:
    """`width` adjacent columns in the LLVM value `name`, at a multiple of their size in memory."""

    element: str
    width: int
    name: str

    @property
    def _register_elements(self) -> int:
        """Elements in one register: those of 16 bits go in pairs."""
        return 2 if ELEMENT_BYTES[self.element] == 2 and self.width % 2 == 0 else 1

    def registers(self, writer: FunctionWriter) -> list[tuple[str, str]]:
        """The lane as (LLVM type, value) of what one register each holds."""
        size = self._register_elements
        kind = self.element if size == 1 else f"<{size} x {self.element}>"
        lane = f"<{self.width} x {self.element}>"
        if self.width == size:
            return [(kind, self.name)]
        if size == 1:
            texts = [f"extractelement {lane} {self.name}, i32 {i}" for i in range(self.width)]
        else:
            texts = [
                f"shufflevector {lane} {self.name}, {lane} poison, <2 x i32> <i32 {i}, i32 {i + 1}>"
                for i in range(0, self.width, 2)
            ]
        return [(kind, writer.assign(text)) for text in texts]

    @property
    def register_bytes(self) -> int:
        return self._register_elements * ELEMENT_BYTES[self.element]

    @property
    def constraint(self) -> str:
        """Of inline assembly that takes one of the registers."""
        return _REGISTERS[self.element, self._register_elements]

    def store(self, writer: FunctionWriter, pointer: str, offset: int) -> None:
        """Store the lane `offset` elements after `pointer`, in as few instructions as there are."""
        registers = self.registers(writer)
        size, constraint = self.register_bytes, self.constraint
        most = _LARGEST_STORE // size
        for first in range(0, len(registers), most):
            part = registers[first : first + most]
            place = offset * ELEMENT_BYTES[self.element] + first * size
            operands = ", ".join(f"${i + 1}" for i in range(len(part)))
            vector, values = "", operands
            if len(part) > 1:
                vector, values = f".v{len(part)}", f"{{{operands}}}"
            base = pointer
            if place > _LARGEST_OFFSET:
                base, place = writer.assign(_moved(pointer, place)), 0
            text = f"st.global.cs{vector}.b{8 * size} [$0+{place}], {values};"
            arguments = ", ".join(f"{kind} {value}" for kind, value in part)
            constraints = ",".join(["l", *[constraint] * len(part), "~{memory}"])
            writer.line(
                f'call void asm sideeffect "{text}", "{constraints}"'
                f"(ptr addrspace(1) {base}, {arguments})"
            )


def _moved(pointer: str, byte_count: int) -> str:
    return f"getelementptr inbounds i8, ptr addrspace(1) {pointer}, i64 {byte_count}"
