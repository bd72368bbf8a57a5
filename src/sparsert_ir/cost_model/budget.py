"""How large and slow unrolled code gets, estimated before any of it is made."""

from dataclasses import dataclass

from sparsert_ir.errors import BudgetError
from sparsert_ir.gpu_facts import INSTRUCTION_BYTES

CODE_BUDGET = 4 * 2**20
"""Bytes of instructions that a matrix may become unless the caller allows more."""

_SECONDS_PER_INSTRUCTION = 150e-6
"""LLVM and ptxas together, one core, f32 (benchmarks/compile_time.py measures it)."""


@dataclass(frozen=True)
class CodeEstimate:
    """What `multiply_adds` multiply-adds and `loads` loads of x become on a GPU."""

    multiply_adds: int
    loads: int

    @property
    def code_bytes(self) -> int:
        return INSTRUCTION_BYTES * (self.multiply_adds + self.loads)

    @property
    def seconds(self) -> float:
        """To compile, on one core."""
        return _SECONDS_PER_INSTRUCTION * (self.multiply_adds + self.loads)

    def check(self, budget: int) -> None:
        """Raise BudgetError if the code takes more than `budget` bytes."""
        if self.code_bytes > budget:
            raise BudgetError(
                f"unrolling: expected at most {budget} bytes of code, got about {self.code_bytes}"
                f" ({self.multiply_adds} multiply-adds, about {self.seconds:.0f} s to compile);"
                ' allow more with code_budget, or use lowering="data"'
            )
