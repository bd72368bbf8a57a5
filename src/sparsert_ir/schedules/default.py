"""Which schedule to use when the user gives none."""

from dataclasses import dataclass, replace

from sparsert_ir.cost_model.budget import CODE_BUDGET
from sparsert_ir.cost_model.cpu import CpuFacts
from sparsert_ir.cost_model.gpu import Product, predict_us
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.cpu.host_threads import available_cores
from sparsert_ir.gpu_facts import (
    OVERLAP_FROM,
    architecture_number,
    has_tensor_cores,
    shared_memory_of,
)
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Lowering, Schedule
from sparsert_ir.schedules.code import code_bytes, code_schedule
from sparsert_ir.schedules.cpu import best_cpu_schedule, threads_for, with_lowering
from sparsert_ir.schedules.data import data_schedule, walks_over_tiles
from sparsert_ir.schedules.tensor_cores import TensorCoreFacts, tensor_core_schedule

_FEW_COLUMNS = 8
_DEEP_X = 4 * 2**20
"""Bytes of x in f32 that blocks of a matrix as data had better not all copy, slice after slice."""
_FEW_COLUMNS_OF_MMA = 4
"""Up to which lanes are as fast as tensor cores."""
RUN_ONCE_BYTES = 1.9 * 2**20
"""Of code, beyond which a kernel that runs it once takes about three times as long on an H200."""


@dataclass(frozen=True)
class LoweringChoice:
    """What a matrix becomes on a GPU, and why, in words that follow a colon."""

    lowering: Lowering
    reason: str


def choose_lowering(
    shape: tuple[int, int], nonzeros: int, columns: int, code_budget: int = CODE_BUDGET
) -> LoweringChoice:
    """Code while it fits in the budget and is used for more than a few columns, or for very many
    rows of x; else data.

    Code that runs once (N of up to 64) and is larger than `RUN_ONCE_BYTES` is fetched so slowly
    that streaming the matrix is faster (docs/performance.md).
    """
    once = columns <= 64
    size = code_bytes(shape, nonzeros, 4 if once else 8)
    if size <= code_budget and shape[1] * min(columns, _FEW_COLUMNS) * 4 > _DEEP_X:
        return LoweringChoice("code", "every block of data would copy all of a very deep x")
    if columns <= _FEW_COLUMNS:
        reason = f"for N of up to {_FEW_COLUMNS}, numbers are read faster than instructions"
        return LoweringChoice("data", reason)
    if size > code_budget:
        reason = f"code would take {readable_bytes(size)}, more than {readable_bytes(code_budget)}"
        return LoweringChoice("data", reason)
    if once and size > RUN_ONCE_BYTES:
        reason = (
            f"{readable_bytes(size)} of code that runs once are fetched slower than numbers"
            " are read"
        )
        return LoweringChoice("data", reason)
    return LoweringChoice("code", f"about {readable_bytes(size)} of instructions")


def default_lowering(
    shape: tuple[int, int], nonzeros: int, columns: int, code_budget: int = CODE_BUDGET
) -> Lowering:
    """What `choose_lowering` chooses."""
    return choose_lowering(shape, nonzeros, columns, code_budget).lowering


def readable_bytes(size: float) -> str:
    """A number of bytes, for a person: in MB from a tenth of one on, else in KB or bytes."""
    if size >= 0.1 * 2**20:
        return f"{size / 2**20:.1f} MB"
    return f"{size / 2**10:.1f} KB" if size >= 2**10 else f"{size:.0f} bytes"


def default_gpu_schedule(
    shape: tuple[int, int],
    columns: int,
    dtype: str,
    nonzeros: int | None = None,
    lowering: Lowering = "code",
    architecture: str = "sm_80",
    shared_memory: int | None = None,
) -> Schedule:
    """A schedule for `y[M, N] = W[M, K] @ x[K, N]` on a GPU.

    nonzeros: None: unknown, as if none were zero.
    shared_memory: bytes that a block has; None: what the architecture gives.
    """
    overlap = architecture_number(architecture) >= OVERLAP_FROM
    if lowering == "data":
        count = shape[0] * shape[1] if nonzeros is None else nonzeros
        product = Product(shape, count, columns, dtype)
        available = shared_memory or shared_memory_of(architecture)
        chosen = _data_schedule(product, architecture, available)
        return replace(chosen, launch="overlapped" if overlap else "serial")
    return code_schedule(
        shape,
        columns,
        dtype,
        multiprocessors=limits_of(architecture).multiprocessors,
        overlap=overlap,
    )


def _data_schedule(product: Product, architecture: str, shared_memory: int) -> Schedule:
    """On tensor cores where there are enough columns for them, else in the lanes."""
    limits = limits_of(architecture)
    if product.columns > _FEW_COLUMNS_OF_MMA and has_tensor_cores(architecture, product.dtype):
        return tensor_core_schedule(
            TensorCoreFacts(
                product.shape,
                product.nonzeros,
                product.columns,
                product.dtype,
                limits.multiprocessors,
                shared_memory,
            )
        )
    schedule = data_schedule(
        product.shape,
        product.nonzeros,
        product.columns,
        product.dtype,
        multiprocessors=limits.multiprocessors,
        shared_memory=shared_memory,
    )
    if product.columns <= schedule.columns_per_thread * schedule.column_groups:
        return schedule
    found = walks_over_tiles(schedule, product.shape, product.dtype, shared_memory)
    return min(found, key=lambda one: predict_us(one, product, limits))


def gpu_schedule_for(
    matrix: SparseMatrix, columns: int, dtype: str, lowering: Lowering, architecture: str
) -> Schedule:
    """`default_gpu_schedule` for a known matrix: rows that share columns share a panel where the
    loads that this saves are predicted to make up for panels that are less even.
    """
    chosen = default_gpu_schedule(
        matrix.shape, columns, dtype, matrix.nonzeros, lowering, architecture
    )
    if lowering == "data":
        return chosen
    product, limits = Product.of(matrix, columns, dtype), limits_of(architecture)
    both = [chosen, replace(chosen, permutation="clustered")]
    return min(both, key=lambda one: predict_us(one, product, limits))


def default_cpu_schedule(
    shape: tuple[int, int],
    columns: int,
    dtype: str,
    nonzeros: int | None = None,
    lowering: Lowering = "data",
) -> Schedule:
    """A schedule for a CPU: the fastest one by `cost_model.cpu.predict_cpu`, which knows data only.

    nonzeros: None: unknown, taken as a tenth of the matrix.
    """
    rows, depth = shape
    count = rows * depth // 10 if nonzeros is None else nonzeros
    return with_lowering(best_cpu_schedule(CpuFacts(rows, depth, columns, count, dtype)), lowering)


def default_threads(shape: tuple[int, int], nonzeros: int, columns: int, schedule: Schedule) -> int:
    """Threads for a call on a CPU: more than one where they save more than waking them costs."""
    facts = CpuFacts(*shape, columns, nonzeros)
    return threads_for(facts, schedule, available_cores())
