"""Building one candidate in a worker process: everything that can be done without measuring."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparsert_ir.budget import CODE_BUDGET
from sparsert_ir.kernel_binary import KernelBinary

if TYPE_CHECKING:
    from sparsert_ir.frontend import Layer


@dataclass(frozen=True, kw_only=True, eq=False)
class BuildJob:
    """A layer with its schedule, to be compiled for `target`.

    ordinal: the GPU to assemble for; None leaves PTX as it is.
    """

    layer: "Layer"
    target: str
    ordinal: int | None = None
    code_budget: int = CODE_BUDGET


@dataclass(frozen=True, eq=False)
class Build:
    """A built job: its kernel, the seconds to get to LLVM's output and to assemble that, and the
    loads of x in the code."""

    binary: KernelBinary
    compile_seconds: float
    assemble_seconds: float
    loads: int


def build(job: BuildJob) -> Build:
    """Compile and assemble `job`; raises what `sparsert_ir.compile` and `load_kernel` raise."""
    from sparsert_ir.compiler import Compilation
    from sparsert_ir.kernel import Kernel

    begin = time.perf_counter()
    kernel = Kernel(Compilation(job.layer, job.target, job.code_budget))
    compiled = time.perf_counter()
    binary = kernel.binary
    if job.ordinal is not None:
        binary = binary.assembled(job.ordinal)
    end = time.perf_counter()
    return Build(binary, compiled - begin, end - compiled, kernel.stats.loads)
