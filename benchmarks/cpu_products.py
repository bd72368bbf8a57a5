"""Products on a CPU: ours, and what numpy, scipy and torch have."""

import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cases import Case, cases_of, uneven_matrix
from cpu_timing import Contenders, aligned, check, times, torch_with

PEERS = ("numpy", "torch", "torch CSR", "scipy CSR")
_TINY_SIDES, _TINY_COLUMNS, _TINY_SPARSITY = (16, 64, 128, 256), (1, 4, 12), 0.9
"""Where the call is most of the time."""


def product_cases(mobilenet: Path | None) -> Iterator[Case]:
    """The suites mobilenet, where its directory is given, shapes and tiny."""
    if mobilenet is not None:
        yield from cases_of("mobilenet", mobilenet)
    yield from cases_of("shapes", None)
    for side in _TINY_SIDES:
        for n in _TINY_COLUMNS:
            yield Case(
                "tiny",
                f"{side}x{side}",
                n,
                _TINY_SPARSITY,
                lambda side=side: uneven_matrix((side, side), 1 - _TINY_SPARSITY),
            )


@dataclass(frozen=True, eq=False)
class Contest:
    """Who computes one product, ours first, and what with."""

    kernel: Any
    matrix: Any
    x: Any
    compile_seconds: float
    contenders: Contenders


def contest(case: Case, threads: int) -> Contest:
    """Every contender with so many threads (scipy has one)."""
    import sparsert_ir

    matrix = case.matrix("f32")
    x = aligned(np.random.default_rng(0).standard_normal((matrix.shape[1], case.n)))
    begin = time.perf_counter()
    kernel = sparsert_ir.compile(matrix, case.n, target="cpu", threads=threads)
    compile_seconds = time.perf_counter() - begin
    y = aligned(np.full((matrix.shape[0], case.n), np.nan))
    contenders = {"ours": lambda: kernel(x, out=y), **_peers(matrix, x, threads)}
    return Contest(kernel, matrix, x, compile_seconds, contenders)


def measure_product(case: Case, threads: int, seconds: float) -> dict[str, Any]:
    """Times of one case."""
    found = contest(case, threads)
    matrix, schedule = found.matrix, found.kernel.schedule
    check(found.contenders, *float64_product(matrix, found.x))
    return {
        "label": case.label,
        "suite": case.suite,
        "sparsity": case.sparsity,
        "shape": [*matrix.shape, case.n],
        "nonzeros": matrix.nonzeros,
        "threads": threads,
        "schedule": f"{schedule.columns_per_thread} columns, {schedule.staging}",
        "compile_seconds": round(found.compile_seconds, 3),
        "us": {name: round(us, 2) for name, us in times(found.contenders, seconds).items()},
    }


def float64_product(matrix: Any, x: Any) -> tuple[Any, Any]:
    """The product in float64, and how far from it a result in f32 may be. The bound grows with the
    root of a row's length: errors are as often up as down.
    """
    dense, wide = matrix.to_dense().astype(np.float64), x.astype(np.float64)
    magnitude = np.abs(dense) @ np.abs(wide)
    bound = 2.0**-24 * (8 + 4 * math.sqrt(matrix.shape[1])) * magnitude + 1e-30
    return dense @ wide, bound


def _peers(matrix: Any, x: Any, threads: int) -> Contenders:
    from scipy import sparse

    dense = aligned(matrix.to_dense())
    result = aligned(np.zeros((dense.shape[0], x.shape[1])))
    csr = sparse.csr_array(dense)
    found: Contenders = {
        "numpy": lambda: np.matmul(dense, x, out=result),
        "scipy CSR": lambda: csr @ x,
    }
    torch = torch_with(threads)
    if torch is not None:
        torch_weight, torch_x, torch_y = map(torch.from_numpy, (dense, x, result))
        with warnings.catch_warnings(action="ignore"):  # It calls itself a beta.
            torch_csr = torch_weight.to_sparse_csr()
        found["torch"] = lambda: torch.mm(torch_weight, torch_x, out=torch_y)
        found["torch CSR"] = lambda: torch_csr @ torch_x
    return found
