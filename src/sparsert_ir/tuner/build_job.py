"""Building one candidate in a worker process: everything that can be done without measuring."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparsert_ir.cost_model.budget import CODE_BUDGET
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.schedule import Lowering, Schedule

if TYPE_CHECKING:
    from sparsert_ir.frontend import Layer


@dataclass(frozen=True, kw_only=True, eq=False)
class BuildJob:
    """A layer to be compiled for `target`; without a schedule, with the cost model's.

    ordinal:  the GPU to assemble for; None leaves PTX as it is.
    lowering: see `sparsert_ir.compile`.
    """

    layer: "Layer"
    target: str
    ordinal: int | None = None
    lowering: Lowering | None = None
    code_budget: int = CODE_BUDGET


@dataclass(frozen=True, eq=False)
class Build:
    """A built job.

    schedule:         what it was built with, None for a kernel that is not ours.
    compile_seconds:  to get to LLVM's output; assemble_seconds: from there to machine code.
    loads:            of x in the code.
    """

    binary: KernelBinary
    schedule: Schedule | None
    compile_seconds: float
    assemble_seconds: float
    loads: int


def build(job: BuildJob) -> Build:
    """Compile and assemble `job`; raises what compiling and loading raise."""
    from sparsert_ir.compiler import compile_layer
    from sparsert_ir.targets import target_of

    begin = time.perf_counter()
    kernel = compile_layer(
        job.layer, target_of(job.target), job.layer.schedule, job.lowering, job.code_budget
    )
    compiled = time.perf_counter()
    binary = kernel.binary
    if job.ordinal is not None:
        binary = binary.assembled(job.ordinal)
    end = time.perf_counter()
    return Build(binary, kernel.schedule, compiled - begin, end - compiled, kernel.stats.loads)
