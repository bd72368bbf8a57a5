"""GiMMiK (PyPI `gimmik`): the closest relative, which bakes a constant matrix into PTX, too.

F. D. Witherden et al., "GiMMiK - Generating bespoke matrix multiplication kernels for
accelerators", Computer Physics Communications 202 (2016).
"""

import itertools
import time
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from sparsert_ir import SparseMatrix
from sparsert_ir.errors import ArgumentError
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.runtime.device import require_gpu
from sparsert_ir.runtime.launch import KernelSignature, LaunchShape
from sparsert_ir.tuner.build_job import Build

VARIANTS = 8
"""Kernels that GiMMiK 4 offers at most for one matrix on sm_90."""
_DENSITY_LIMIT = 0.15
_KERNEL = "gimmik_mm"


@dataclass(frozen=True, eq=False)
class GimmikJob:
    """Number `variant` of the kernels that GiMMiK offers for f32, the most promising first."""

    matrix: SparseMatrix
    n: int
    variant: int


def why_not(matrix: SparseMatrix, dtype: str, most_nonzeros: int) -> str:
    """Why GiMMiK cannot take part; "" if it can."""
    if find_spec("gimmik") is None:
        return "not installed"
    if dtype != "f32":
        return "f32 and f64 only"
    if matrix.density > _DENSITY_LIMIT:
        return "refuses above 15% density"
    if matrix.nonzeros > most_nonzeros:
        return f"more than {most_nonzeros} nonzeros: assembling takes minutes"
    return ""


def build_gimmik(job: GimmikJob) -> Build:
    """PTX of the variant, assembled; ArgumentError where GiMMiK offers fewer."""
    gimmik: Any = import_module("gimmik")
    gpu = require_gpu()
    begin = time.perf_counter()
    number = int(gpu.arch.removeprefix("sm_"))
    aligned = next(width for width in (4, 2, 1) if job.n % width == 0)
    weight = job.matrix.to_dense().astype(np.float64)
    product = gimmik.PTXMatMul(weight, beta=0.0, n=job.n, ldb=job.n, ldc=job.n, aligne=aligned)
    kernels = product.kernels(np.float32, _KERNEL, compute_capability=divmod(number, 10))
    found: list[Any] = list(itertools.islice(kernels, job.variant, job.variant + 1))
    if not found:
        raise ArgumentError(f"GiMMiK offers no kernel number {job.variant}")
    generated = time.perf_counter()
    ptx, meta = found[0]
    binary: KernelBinary = binary_of(ptx, meta, job).assembled()
    return Build(binary, None, generated - begin, time.perf_counter() - generated, 0)


def binary_of(ptx: str, meta: dict[str, Any], job: GimmikJob) -> KernelBinary:
    """GiMMiK's kernel as one of ours: its arguments are the same, x and y."""
    rows, depth = job.matrix.shape
    target = next(line.split()[1] for line in ptx.splitlines() if line.startswith(".target"))
    return KernelBinary(
        name=_KERNEL,
        target=target,
        signature=KernelSignature(x_shape=(depth, job.n), y_shape=(rows, job.n), dtype="f32"),
        launch=LaunchShape(grid=_extent(meta["grid"]), block=_extent(meta["block"])),
        ptx=ptx,
    )


def _extent(sizes: Any) -> tuple[int, int, int]:
    x, y, z = (*(int(size) for size in sizes), 1, 1)[:3]
    return x, y, z
