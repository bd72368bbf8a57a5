"""Checking and timing one built kernel, in a process that may die of it."""

import functools
import os
import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from sparsert_ir import SparseMatrix
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.runtime.launch import GpuKernel
from sparsert_ir.runtime.timing import time_launches
from verify import Problem

_PROBLEMS_KEPT = 40
_GRAPH_US = 400.0
_GUESSED_CLOCK_MHZ = 1700 * 132 * 128


@dataclass(frozen=True, eq=False)
class MeasureJob:
    """label: of the case; jobs with the same label and dtype share x and the true product.
    bias: M numbers where the kernel adds them and applies ReLU.
    copies: of the kernel and its constants that take turns, so that they are not found in L2."""

    label: str
    matrix: SparseMatrix
    n: int
    dtype: str
    arithmetic: str
    binary: KernelBinary
    replays: int = 20
    bias: Any = None
    copies: int = 1


@dataclass(frozen=True)
class Measurement:
    """Microseconds per launch, and what the binary uses. See `verify.Verdict` for `error`."""

    median_us: float
    min_us: float
    p90_us: float
    error: float
    ok: bool
    reason: str
    registers: int
    spilled_bytes: int
    code_bytes: int
    from_cache: bool


@functools.lru_cache(maxsize=_PROBLEMS_KEPT)
def _place_of_problem(label: str, dtype: str) -> list[Problem]:
    return []


def problem_of(label: str, matrix: SparseMatrix, n: int, dtype: str) -> Problem:
    """The problem of a case, kept while other jobs on the same case are likely."""
    place = _place_of_problem(label, dtype)
    if not place:
        place.append(Problem.of(matrix, n, dtype))
    return place[0]


def measure(job: MeasureJob) -> Measurement:
    """Check against float64 with a poisoned y, then time; ends the process if the GPU is lost."""
    try:
        return _measure(job)
    except Exception as error:
        end_if_lost(error)
        raise


def graph_repeats(multiply_adds: int) -> int:
    """Launches per CUDA graph: enough to hide the launch of the graph itself."""
    guess_us = 2 + multiply_adds / _GUESSED_CLOCK_MHZ
    return max(4, min(100, round(_GRAPH_US / guess_us)))


def _measure(job: MeasureJob) -> Measurement:
    problem = problem_of(job.label, job.matrix, job.n, job.dtype)
    kernels: list[GpuKernel] = []
    try:
        kernels += (job.binary.load_on_gpu() for _ in range(job.copies))
        y = problem.poisoned_y()
        kernels[-1](problem.x, out=y)
        verdict = problem.check(y, job.arithmetic, job.bias)
        timing = time_launches(
            [partial(kernel, problem.x, out=y) for kernel in kernels],
            repeats=max(graph_repeats(job.matrix.nonzeros * job.n), 2 * job.copies),
            replays=job.replays,
        )
        loaded = kernels[0].kernel
        return Measurement(
            timing.median_us,
            timing.min_us,
            timing.p90_us,
            verdict.error,
            verdict.ok,
            "" if verdict.ok else verdict.explain(),
            loaded.registers,
            loaded.spilled_bytes,
            loaded.code_bytes,
            loaded.from_cache,
        )
    finally:
        for kernel in kernels:
            kernel.kernel.unload()


def end_if_lost(error: Exception) -> None:
    """End the process if the GPU no longer answers: every later job in it would fail, too."""
    torch: Any = import_module("torch")
    try:
        torch.cuda.synchronize()
    except Exception:
        print(f"the GPU's context is lost: {error}", file=sys.stderr, flush=True)
        os._exit(3)
