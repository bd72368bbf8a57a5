"""Which schedule to use on a GPU when the matrix is data and the user gives none."""

from sparsert_ir.element_types import ELEMENT_BYTES, default_accumulation
from sparsert_ir.gpu_facts import WARP
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
_SHARED_BY_TWO_BLOCKS = 110 * 1024
"""Bytes of shared memory of a block beyond which a multiprocessor holds only one."""
_ENOUGH_BLOCKS = 120
"""About one for each multiprocessor; half as many where each stages much of x."""


def data_schedule(shape: tuple[int, int], nonzeros: int, columns: int, dtype: str) -> Schedule:
    """For an M x K matrix times K x `columns`: what was fastest on an H200 for N = 1 to 16 (see
    docs/data-lowering.md).
    """
    element_bytes = ELEMENT_BYTES[dtype]
    width = _power_of_two(min(columns, _WIDEST_GATHER // element_bytes))
    groups = min(_WIDEST_TILE // width, _power_of_two(-(-columns // width)))
    row_length = nonzeros / shape[0]
    long = row_length > _LONG_ROW and width > 1 and groups == 1
    rows, chunk = (4, 8) if long else (2, 4)
    if groups > 1 and row_length > _VERY_LONG_ROW:
        chunk = 8
    while rows * groups < WARP and row_length < 2 * chunk * WARP / (rows * groups):
        rows *= 2
    warps = -(-shape[0] // rows) * -(-columns // (width * groups))
    most, enough = 256, _ENOUGH_BLOCKS
    slice_bytes = shape[1] * width * groups * element_bytes
    if slice_bytes > _SHARED_BY_TWO_BLOCKS or (width == 1 and slice_bytes > _LARGE_SLICE):
        most = 512
    if groups > 1:
        narrow = columns * element_bytes % _WIDEST_GATHER != 0
        most, enough = 1024 if narrow else 512, _ENOUGH_BLOCKS // 2
    return Schedule(
        lowering="data",
        rows_per_panel=rows,
        columns_per_thread=width,
        column_groups=groups,
        threads=_threads(warps, most, enough),
        chunk=chunk,
        stages=4,
        accumulation=default_accumulation(dtype),
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
