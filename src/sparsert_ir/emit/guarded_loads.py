"""Loads under a predicate, which LLVM IR has only as branches: two PTX instructions each.

PTX ISA, "Predicated execution" and "ld.global.nc"; constraints: LLVM's NVPTXISelLowering.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sparsert_ir.emit.function_writer import FunctionWriter


@dataclass(frozen=True)
class _Number:
    """How PTX moves an element: type, constraint and LLVM type of a register, its zero."""

    ptx: str
    constraint: str
    register: str
    zero: str


_NUMBERS = {
    "float": _Number("f32", "f", "float", "0f00000000"),
    "double": _Number("f64", "d", "double", "0d0000000000000000"),
    "half": _Number("b16", "h", "i16", "0"),
    "bfloat": _Number("b16", "h", "i16", "0"),
}


@dataclass(frozen=True)
class GuardedLoad:
    """Writes loads of `element` from pointers of type `space`, which is in global memory.

    invariant: nothing writes there while the kernel runs.
    """

    writer: FunctionWriter
    element: str
    space: str
    invariant: bool

    def load(self, columns: Sequence[tuple[str, str]], bytes_on: int) -> str:
        """One or two columns, each a pointer and its guard, `bytes_on` bytes after the pointers:
        the element where the guard is true, 0 where it is not and nothing is read.
        """
        pointers = [(self.space, pointer) for pointer, _ in columns]
        operands = [*pointers, *(("i1", guard) for _, guard in columns)]
        if len(columns) == 1:
            return self._one(operands, bytes_on)
        return self._pair(operands, bytes_on)

    def _one(self, operands: Sequence[tuple[str, str]], bytes_on: int) -> str:
        number = _NUMBERS[self.element]
        code = (
            f"{{ mov.{number.ptx} $0, {number.zero};"
            f" @$2 {self._read(number.ptx)} $0, [$1+{bytes_on}]; }}"
        )
        loaded = self._call(number.register, code, f"={number.constraint},l,b", operands)
        return self._as(self.element, number.register, loaded)

    def _pair(self, operands: Sequence[tuple[str, str]], bytes_on: int) -> str:
        read = self._read("b16")
        code = (
            "{ .reg .b16 %first, %second; mov.b16 %first, 0; mov.b16 %second, 0;"
            f" @$3 {read} %first, [$1+{bytes_on}]; @$4 {read} %second, [$2+{bytes_on}];"
            " mov.b32 $0, {%first, %second}; }"
        )
        loaded = self._call("i32", code, "=r,l,l,b,b", operands)
        return self._as(f"<2 x {self.element}>", "i32", loaded)

    def _read(self, kind: str) -> str:
        return f"ld.global.nc.{kind}" if self.invariant else f"ld.global.{kind}"

    def _call(
        self, register: str, code: str, constraints: str, operands: Sequence[tuple[str, str]]
    ) -> str:
        effect = "" if self.invariant else "sideeffect "
        clobber = "" if self.invariant else ",~{memory}"
        inside = ", ".join(f"{kind} {value}" for kind, value in operands)
        return self.writer.assign(
            f'call {register} asm {effect}"{code}", "{constraints}{clobber}"({inside})'
        )

    def _as(self, kind: str, register: str, loaded: str) -> str:
        if kind == register:
            return loaded
        return self.writer.assign(f"bitcast {register} {loaded} to {kind}")
