"""Which schedule to use on a GPU when the matrix is data and the user gives none."""

import math
from dataclasses import replace

from sparsert_ir.element_types import ELEMENT_BYTES, default_accumulation
from sparsert_ir.gpu_facts import WARP
from sparsert_ir.layout.packing import most_rows_held
from sparsert_ir.schedule import Schedule

_WIDEST_GATHER = 16
"""Bytes of x that a lane gathers at once."""
_WIDEST_TILE = 16
"""Columns of x that a block stages at once."""
_LONG_ROW = 800
"""Nonzeros from which a row keeps its lanes busy for long."""
_VERY_LONG_ROW = 1200
_LARGE_SLICE = 16 * 1024
"""Bytes of x that more warps of a block should share."""
_LONG_CHUNKS_SLICE, _ONE_BLOCK_SLICE = 64 * 1024, 110 * 1024
"""Bytes of x from which four columns are better read in long chunks; of which a multiprocessor
holds only one block's."""
_ENOUGH_BLOCKS = 120
"""About one for each multiprocessor; half as many where each stages much of x."""
_MOST_TURNS = 64
_WARPS_OF_ONE_TURN, _MOST_WARPS, _MOST_WARPS_OF_LONG_CHUNKS = 16, 28, 16
"""Of a block that a multiprocessor has alone: beyond the first it is better to take turns; beyond
the last, lanes that hold chunks of 8 have too few registers.
"""


def data_schedule(
    shape: tuple[int, int],
    nonzeros: int,
    columns: int,
    dtype: str,
    *,
    multiprocessors: int,
    shared_memory: int,
) -> Schedule:
    """For an M x K matrix times K x `columns`: what was fastest on an H200 for N = 1 to 16 (see
    docs/data-lowering.md).

    shared_memory: bytes that a block can have.
    """
    element_bytes = ELEMENT_BYTES[dtype]
    width = _power_of_two(min(columns, _WIDEST_GATHER // element_bytes))
    groups = min(_WIDEST_TILE // width, _power_of_two(-(-columns // width)))
    row_length = nonzeros / shape[0]
    slice_bytes = shape[1] * width * groups * element_bytes
    chunk, rows = 4, 2
    if groups > 1 and row_length > _VERY_LONG_ROW and slice_bytes < shared_memory:
        chunk = 8
    if groups == 1 and width * element_bytes == _WIDEST_GATHER // 2:
        chunk = 8 if slice_bytes > _LONG_CHUNKS_SLICE else 4
    while rows * groups < WARP and row_length < 2 * chunk * WARP / (rows * groups):
        rows *= 2
    warps = -(-shape[0] // rows) * -(-columns // (width * groups))
    most, enough = 512, _ENOUGH_BLOCKS
    if width == 1 and slice_bytes <= _LARGE_SLICE:
        most = 256
    if groups > 1:
        narrow = columns * element_bytes % _WIDEST_GATHER != 0
        most, enough = 1024 if narrow else 512, _ENOUGH_BLOCKS // 2
    schedule = Schedule(
        lowering="data",
        rows_per_panel=rows,
        columns_per_thread=width,
        column_groups=groups,
        threads=_threads(warps, most, enough),
        chunk=chunk,
        stages=4,
        accumulation=default_accumulation(dtype),
    )
    one_tile, crowded = columns <= width * groups, warps > multiprocessors * _WARPS_OF_ONE_TURN
    if one_tile and crowded and holds_all(schedule, shape[1], dtype, shared_memory):
        return _walking(schedule, shape[0], row_length, multiprocessors)
    return schedule


def holds_all(schedule: Schedule, depth: int, dtype: str, shared_memory: int) -> bool:
    """Whether a block holds its columns of all `depth` rows of x at once, so that its warps may
    take panels in turn.

    shared_memory: bytes that a block can have.
    """
    columns = schedule.columns_per_thread * schedule.column_groups
    return depth <= most_rows_held(columns * ELEMENT_BYTES[dtype], shared_memory)


def walks_over_tiles(
    schedule: Schedule, shape: tuple[int, int], dtype: str, shared_memory: int
) -> list[Schedule]:
    """The schedule, and others for more columns than one tile: fewer blocks stage each tile, and
    the stream is read once for each.

    They follow from the model. One column group was measured, in f32 (docs/data-lowering.md).
    """
    found = [schedule]
    panels = -(-shape[0] // schedule.rows_per_panel)
    halvings = range(schedule.column_groups.bit_length())
    for groups in (schedule.column_groups >> halving for halving in halvings):
        grouped = replace(schedule, column_groups=groups)
        if not holds_all(grouped, shape[1], dtype, shared_memory):
            continue
        turns = 2
        while turns * schedule.threads // WARP < 2 * panels and turns <= _MOST_TURNS:
            found.append(replace(grouped, panels_per_warp=turns))
            turns *= 2
    return found


def _walking(schedule: Schedule, rows: int, row_length: float, multiprocessors: int) -> Schedule:
    """One block for each multiprocessor, whose warps take panels in turn; x is staged once."""
    height, chunk = schedule.rows_per_panel, 4
    if schedule.column_groups == 1 and schedule.columns_per_thread > 1:
        height = max(height, 4)
        chunk = 8 if row_length > _LONG_ROW else 4
    each = -(-rows // height) / multiprocessors
    most = _MOST_WARPS if chunk == 4 else _MOST_WARPS_OF_LONG_CHUNKS
    turns = max(2, math.ceil(each / most))
    return replace(
        schedule,
        rows_per_panel=height,
        chunk=chunk,
        threads=WARP * math.ceil(each / turns),
        panels_per_warp=turns,
    )


def _threads(warps: int, most: int, blocks: int) -> int:
    """Threads of a block, so many that there are still enough blocks."""
    threads = most
    while threads > WARP and warps * WARP // threads < blocks:
        threads //= 2
    return threads


def _power_of_two(number: int) -> int:
    """The next one that is not smaller."""
    return 1 << (number - 1).bit_length()
