"""The registers of processors, as far as schedules depend on them."""

import functools
from dataclasses import dataclass


@dataclass(frozen=True)
class Simd:
    """columns: f32 numbers in a register. registers: how many there are."""

    columns: int
    registers: int

    @property
    def widest(self) -> int:
        """Columns of the widest lane that leaves a quarter of the registers for other numbers."""
        return self.columns * self.registers * 3 // 4

    def filled(self, columns: int) -> int:
        """Registers that so many columns fill, whole or in part."""
        return -(-columns // self.columns)


AVX512, AVX2, SSE, NEON = Simd(16, 32), Simd(8, 16), Simd(4, 16), Simd(4, 32)
_REGISTERS = {"+avx512f": AVX512, "+avx2": AVX2, "+avx": AVX2, "+neon": NEON}
"""By feature, the widest first."""


def simd_of(features: str) -> Simd:
    """By LLVM's names of what a processor has: "+avx2,-avx512f,..."."""
    found = set(features.split(","))
    for feature, registers in _REGISTERS.items():
        if feature in found:
            return registers
    return SSE


@functools.cache
def host_simd() -> Simd:
    """Of the processor that this runs on."""
    from sparsert_ir.emit.host import host_description

    return simd_of(host_description()[1])
