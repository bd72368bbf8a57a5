"""Stores in the shared memory of another block of the cluster: `st.async`.

LLVM has no intrinsic for it (LLVM 22), so the instruction is written as inline assembly.
Reference: PTX ISA, "st.async", https://docs.nvidia.com/cuda/parallel-thread-execution/
"""

from dataclasses import dataclass

from sparsert_ir.emit.function_writer import FunctionWriter
from sparsert_ir.emit.streaming import StreamedLane

_WORD, _LARGEST_STORE = 4, 16
"""Bytes that one `st.async` takes at least and at most."""


@dataclass(frozen=True)
class SentLane:
    """A lane of whole 32-bit words."""

    lane: StreamedLane

    def send(self, writer: FunctionWriter, pointer: str, barrier: str) -> None:
        """Store it at `pointer`; `barrier`, in the same block, counts the bytes."""
        registers = self.lane.registers(writer)
        most = _LARGEST_STORE // _WORD
        for first in range(0, len(registers), most):
            part = registers[first : first + most]
            names = ", ".join(f"${i + 2}" for i in range(len(part)))
            vector, values = "", names
            if len(part) > 1:
                vector, values = f".v{len(part)}", f"{{{names}}}"
            verb = f"st.async.weak.shared::cluster.mbarrier::complete_tx::bytes{vector}.b32"
            text = f"{verb} [$0+{first * _WORD}], {values}, [$1];"
            arguments = ", ".join(f"{kind} {value}" for kind, value in part)
            constraints = ",".join(["l", "l", *[self.lane.constraint] * len(part), "~{memory}"])
            writer.line(
                f'call void asm sideeffect "{text}", "{constraints}"'
                f"(ptr addrspace(7) {pointer}, ptr addrspace(7) {barrier}, {arguments})"
            )
