"""Which schedule a convolution uses when the user gives none."""

from dataclasses import replace
from math import prod
from typing import Literal

from sparsert_ir.cost_model.budget import CODE_BUDGET
from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.cost_model.cpu_convolution import predict_cpu_convolution
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.cpu.host_threads import available_cores
from sparsert_ir.element_types import ELEMENT_BYTES, default_accumulation, fastest_accumulation
from sparsert_ir.gpu.shared_memory import partial_sum_bytes, sum_bytes
from sparsert_ir.gpu_facts import (
    BLOCK_THREADS,
    OVERLAP_FROM,
    STATIC_SHARED_MEMORY,
    WARP,
    architecture_number,
    has_tensor_cores,
    shared_memory_of,
)
from sparsert_ir.schedule import Lowering, Schedule
from sparsert_ir.schedules.code import code_bytes
from sparsert_ir.schedules.cpu import best_cpu_convolution, threads_that_pay, with_lowering
from sparsert_ir.schedules.data import holds_all
from sparsert_ir.schedules.default import RUN_ONCE_BYTES, LoweringChoice, readable_bytes
from sparsert_ir.schedules.tensor_cores import TensorCoreFacts, tensor_core_convolution
from sparsert_ir.window import Window

_LEAST_WORK = 32
"""Multiply-adds of a K group of a panel."""
_GATHERED_COLUMNS = 8
_GATHER_US_PER_ROW, _US_PER_NONZERO = 1.7e-3, 7e-3
"""Of a block of 512 threads with the filter as data: to gather a row of 8 columns of the window,
and for each nonzero of a mean row, where its warps take two rows each. From 512 channels at 7 x 7
on an H200, at 91% and 96%.
"""
_MANY_NONZEROS, _MUCH_WORK = 8_000, 8_000_000
"""Nonzeros, and multiply-adds, from which a filter with more than one tap is faster as data."""
_USUAL_HEIGHT = 8
"""Rows of a panel, for the estimate of how much code a filter becomes."""


def convolution_lowering(
    shape: tuple[int, int], nonzeros: int, window: Window, code_budget: int = CODE_BUDGET
) -> LoweringChoice:
    """Code while there is little enough of it, and little enough to do, else data, on a GPU.

    A tap's code loads every pixel anew from the L1 cache, which data does once for all rows of a
    block. Measured on 3x3 filters of ResNet-50 (docs/convolutions.md).
    """
    taps, work = prod(window.kernel), nonzeros * window.columns
    if taps > 1 and nonzeros >= _MANY_NONZEROS and work >= _MUCH_WORK:
        reason = f"{work / 1e6:.0f} million multiply-adds share gathered pixels"
        return LoweringChoice("data", reason)
    size = code_bytes(shape, nonzeros, _USUAL_HEIGHT)
    limit = min(code_budget, RUN_ONCE_BYTES)
    if size <= limit:
        return LoweringChoice("code", f"about {readable_bytes(size)} of instructions")
    reason = f"code would take {readable_bytes(size)}, more than {readable_bytes(limit)}"
    return LoweringChoice("data", reason)


def default_convolution(
    shape: tuple[int, int],
    window: Window,
    dtype: str,
    target: str,
    lowering: Lowering = "code",
    nonzeros: int | None = None,
    shared_memory: int | None = None,
) -> Schedule:
    """A schedule for "cpu" or the architecture of a GPU.

    shape: of the matrix, O x K. nonzeros: None: unknown, taken as a tenth of it.
    shared_memory: bytes that a block has; None: what the architecture gives.
    """
    count = shape[0] * shape[1] // 10 if nonzeros is None else nonzeros
    if target == "cpu":
        best = best_cpu_convolution(ConvolutionFacts(window, shape[0], count, dtype))
        return with_lowering(best, lowering)
    if lowering == "data":
        facts = ConvolutionFacts(window, shape[0], count, dtype)
        return _gathering_schedule(facts, target, shared_memory or shared_memory_of(target))
    first = gpu_candidates(shape, window, dtype, target)[0]
    return first if nonzeros is None else _with_enough_work(first, nonzeros / shape[0])


def _with_enough_work(schedule: Schedule, per_row: float) -> Schedule:
    """Fewer K groups where rows are so short that adding up the groups would take longer than the
    multiply-adds: a depthwise filter has nine in a row.
    """
    groups, of_panel = schedule.k_groups, schedule.rows_per_panel * per_row
    while groups > 1 and of_panel < groups * _LEAST_WORK:
        groups //= 2
    return replace(schedule, k_groups=groups)


def convolution_threads(facts: ConvolutionFacts, schedule: Schedule) -> int:
    """Threads for a call on a CPU; code counts as data does."""
    alone = predict_cpu_convolution(facts, replace(schedule, lowering="data"))
    return threads_that_pay(alone, available_cores())


def _gathering_schedule(facts: ConvolutionFacts, architecture: str, shared_memory: int) -> Schedule:
    """Eight columns of many rows per block: what costs is to gather the columns' pixels, which all
    rows of a block share.
    """
    size = ELEMENT_BYTES[facts.dtype]
    overlap = architecture_number(architecture) >= OVERLAP_FROM
    launch: Literal["serial", "overlapped"] = "overlapped" if overlap else "serial"
    if has_tensor_cores(architecture, facts.dtype):
        known = TensorCoreFacts(
            (facts.rows, facts.window.depth),
            facts.nonzeros,
            facts.window.columns,
            facts.dtype,
            limits_of(architecture).multiprocessors,
            shared_memory,
        )
        return replace(tensor_core_convolution(known), launch=launch)
    schedule = Schedule(
        lowering="data",
        rows_per_panel=2,
        columns_per_thread=8 if size == 2 else 4,
        column_groups=1 if size == 2 else 2,
        threads=512,
        chunk=4,
        stages=4,
        accumulation=default_accumulation(facts.dtype),
        launch=launch,
    )
    if not holds_all(schedule, facts.window.depth, facts.dtype, shared_memory):
        return schedule
    return replace(schedule, panels_per_warp=_turns(facts, limits_of(architecture).multiprocessors))


def _turns(facts: ConvolutionFacts, multiprocessors: int) -> int:
    """Panels that a warp should take in turn, so that fewer blocks gather the same columns."""
    tiles = -(-facts.window.columns // _GATHERED_COLUMNS)
    rows_at_once = 2 * 512 // WARP

    def predicted(turns: int) -> float:
        blocks = tiles * -(-facts.rows // (rows_at_once * turns))
        waves = -(-blocks // multiprocessors)
        busy = turns * _US_PER_NONZERO * facts.nonzeros / facts.rows
        return waves * (_GATHER_US_PER_ROW * facts.window.depth + busy)

    return min(range(1, -(-facts.rows // rows_at_once) + 1), key=predicted)


def gpu_candidates(
    shape: tuple[int, int], window: Window, dtype: str, architecture: str
) -> list[Schedule]:
    """Schedules for a GPU that are worth measuring, the likely best first.

    Few output pixels need many K groups to fill the multiprocessors; short panels keep the partial
    sums small, tall ones share each load of x among more rows.
    """
    columns, rows = window.columns, shape[0]
    overlap = architecture_number(architecture) >= OVERLAP_FROM
    # A tap's neighbour moves every pair of f16 across two words: two loads and a move each.
    width = 2 if dtype == "f16" and window.kernel[1] == 1 and columns % 2 == 0 else 1
    base = Schedule(
        permutation="clustered",
        launch="overlapped" if overlap else "serial",
        accumulation=fastest_accumulation(dtype),
    )
    groups = 4 if columns >= 1024 else 8 if columns >= 256 else 16
    if columns >= 16384:
        first = replace(base, rows_per_panel=32, threads=128, columns_per_thread=width)
    else:
        threads = 32 if columns <= 64 * width else 64
        first = replace(
            base, rows_per_panel=8, threads=threads, k_groups=groups, columns_per_thread=width
        )
    candidates = [first]
    for lanes in sorted({1, width}, reverse=True):
        for height in (8, 16, 32):
            for count in (1, 2, 4, 8, 16):
                for threads in (32, 64, 128):
                    one = replace(
                        base,
                        rows_per_panel=min(height, rows),
                        k_groups=count,
                        threads=threads,
                        columns_per_thread=lanes,
                    )
                    if _is_sensible(one, columns, rows, dtype) and one not in candidates:
                        candidates.append(one)
    return candidates


def _is_sensible(schedule: Schedule, columns: int, rows: int, dtype: str) -> bool:
    """Legal, and neither far too few warps to fill a GPU nor a block mostly past the end."""
    per_block = schedule.threads * schedule.columns_per_thread
    sums = partial_sum_bytes(schedule, sum_bytes(schedule, dtype))
    blocks = -(-columns // per_block) * -(-rows // schedule.rows_per_panel)
    warps = blocks * schedule.block_threads // 32
    return (
        sums <= STATIC_SHARED_MEMORY
        and schedule.block_threads <= BLOCK_THREADS
        and warps >= 264
        and per_block < 2 * columns + 64
    )
