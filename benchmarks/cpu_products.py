"""Products on a CPU: ours, and what numpy, scipy and torch have."""

import functools
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cases import Case, cases_of, uneven_matrix
from cpu_timing import Compute, Contenders, aligned, check, times, torch_with

_TINY_SIDES, _TINY_COLUMNS, _TINY_SPARSITY = (16, 64, 128, 256), (1, 4, 12), 0.9
"""Where the call is most of the time."""


@dataclass(frozen=True, eq=False)
class Operands:
    """What peers multiply, all in f32: result = dense @ x."""

    dense: Any
    x: Any
    result: Any
    threads: int


def _numpy(of: Operands) -> Compute:
    return lambda: np.matmul(of.dense, of.x, out=of.result)


def _torch(of: Operands) -> Compute | None:
    torch = torch_with(of.threads)
    if torch is None:
        return None
    dense, x, result = map(torch.from_numpy, (of.dense, of.x, of.result))
    return lambda: torch.mm(dense, x, out=result)


def _torch_csr(of: Operands) -> Compute | None:
    torch = torch_with(of.threads)
    if torch is None:
        return None
    with warnings.catch_warnings(action="ignore"):  # It calls itself a beta.
        csr = torch.from_numpy(of.dense).to_sparse_csr()
    x = torch.from_numpy(of.x)
    return lambda: csr @ x


def _scipy_csr(of: Operands) -> Compute:
    from scipy import sparse

    csr = sparse.csr_array(of.dense)
    return lambda: csr @ of.x


OURS = "ours"
PEERS: dict[str, Callable[[Operands], Compute | None]] = {
    "numpy": _numpy,
    "torch": _torch,
    "torch CSR": _torch_csr,
    "scipy CSR": _scipy_csr,
}


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
    """Who computes one product, and what with; kernel: None where ours is not among them."""

    kernel: Any
    matrix: Any
    x: Any
    compile_seconds: float
    contenders: Contenders


def contest(case: Case, threads: int, names: Sequence[str] = (OURS, *PEERS)) -> Contest:
    """The contenders of these names, each with so many threads (scipy has one); without those of
    torch where it is not installed.
    """
    import sparsert_ir

    matrix = case.matrix("f32")
    x = aligned(np.random.default_rng(0).standard_normal((matrix.shape[1], case.n)))
    y = aligned(np.full((matrix.shape[0], case.n), np.nan))
    kernel, seconds, contenders = None, 0.0, Contenders()
    if OURS in names:
        begin = time.perf_counter()
        kernel = sparsert_ir.compile(matrix, case.n, target="cpu", threads=threads)
        seconds = time.perf_counter() - begin
        contenders[OURS] = functools.partial(kernel, x, out=y)
    operands = Operands(aligned(matrix.to_dense()), x, aligned(np.zeros(y.shape)), threads)
    for name in names:
        compute = None if name == OURS else PEERS[name](operands)
        if compute is not None:
            contenders[name] = compute
    return Contest(kernel, matrix, x, seconds, contenders)


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
