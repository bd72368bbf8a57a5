"""The libraries that users have instead: cuBLAS and cuSPARSE, through torch."""

import itertools
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from measure_job import end_if_lost, graph_repeats, problem_of
from sparsert_ir import SparseMatrix
from sparsert_ir.errors import DeviceError
from sparsert_ir.runtime.timing import Run, time_launches
from verify import Problem

DENSE_PEERS = {"f32": ("cublas f32", "cublas tf32"), "f16": ("cublas f16",)}
SPARSE_PEERS = {"f32": ("cusparse f32",), "f16": ("cusparse f16",)}
_DENSE_ARITHMETIC = {"cublas f32": "f32", "cublas tf32": "tf32", "cublas f16": "f16"}
_SPARSE_ARITHMETIC = {"cusparse f32": "f32", "cusparse f16": "f16"}
"""cuSPARSE as torch calls it rounds sums of f16 to f16 where N is more than 1."""


@dataclass(frozen=True, eq=False)
class PeerJob:
    """A peer by its name, on the problem that other jobs of this label and dtype use, too.

    copies: of the weight that take turns, so that none is found in the L2 cache.
    """

    label: str
    matrix: SparseMatrix
    n: int
    dtype: str
    peer: str
    replays: int = 20
    copies: int = 1


@dataclass(frozen=True)
class PeerTime:
    """Microseconds per launch; how they were taken ("graph" or "events"); see `verify.Verdict`."""

    median_us: float
    timing: str
    error: float
    ok: bool


def measure_peer(job: PeerJob) -> PeerTime:
    """Check a peer with a poisoned y, then time it; a wrong peer is reported, not hidden."""
    problem = problem_of(job.label, job.matrix, job.n, job.dtype)
    try:
        with tf32(job.peer == "cublas tf32"):
            y = problem.poisoned_y()
            runs = [_run_of(job, problem, y) for _ in range(job.copies)]
            runs[-1]()
            verdict = problem.check(y, (_DENSE_ARITHMETIC | _SPARSE_ARITHMETIC)[job.peer])
            multiply_adds = job.matrix.nonzeros * job.n
            if job.peer in _DENSE_ARITHMETIC:
                multiply_adds = job.matrix.shape[0] * job.matrix.shape[1] * job.n
            repeats = max(graph_repeats(multiply_adds), 2 * job.copies)
            us, timing = _time(runs, repeats, job.replays)
            return PeerTime(us, timing, verdict.error, verdict.ok)
    except Exception as error:
        end_if_lost(error)
        raise


@contextmanager
def tf32(allowed: bool):
    """Whether cuBLAS may round f32 operands to TF32 meanwhile."""
    torch: Any = import_module("torch")
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32 = before


def _run_of(job: PeerJob, problem: Problem, y: Any) -> Callable[[], object]:
    torch: Any = import_module("torch")
    if job.peer in _DENSE_ARITHMETIC:
        weight = problem.weight if job.copies == 1 else problem.weight.clone()
        return lambda: torch.mm(weight, problem.x, out=y)
    csr = csr_tensor(job.matrix)
    return lambda: torch.addmm(y, csr, problem.x, beta=0, out=y)


def csr_tensor(matrix: SparseMatrix) -> Any:
    """The matrix on the GPU as torch's CSR tensor."""
    torch: Any = import_module("torch")
    parts = (matrix.row_offsets, matrix.column_indices, matrix.values)
    on_gpu = [torch.from_numpy(np.array(part)).cuda() for part in parts]
    return torch.sparse_csr_tensor(*on_gpu, size=matrix.shape)


def _time(runs: list[Run], repeats: int, replays: int) -> tuple[float, str]:
    """By CUDA graph; by events where the library cannot be captured."""
    try:
        return time_launches(runs, repeats=repeats, replays=replays).median_us, "graph"
    except (DeviceError, RuntimeError):
        return _time_by_events(runs, repeats, replays), "events"


def _time_by_events(runs: list[Run], repeats: int, replays: int) -> float:
    torch: Any = import_module("torch")
    torch.cuda.synchronize()
    queue = list(itertools.islice(itertools.cycle(runs), repeats))
    for run in queue:
        run()
    times: list[float] = []
    for _ in range(replays):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for run in queue:
            run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1000 / repeats)
    return float(np.median(times))
