"""Schedules for matrices that become GPU code, chosen by rules read off measurements.

The rules follow sweeps over 18 layers on an H200 (docs/performance.md): a few columns per block and
many small panels with K groups where N is small, so that every multiprocessor has work and the
loads of x are spread; one wave of blocks with tall panels where N is large, so that each element
of x that is taken in meets many rows.
"""

import math

from sparsert_ir.gpu_facts import INSTRUCTION_BYTES, WARP
from sparsert_ir.schedule import Schedule

_LARGE_N = 4000
_TALLEST_PANEL, _LOWEST_TALL_PANEL = 96, 40
_MOST_THREADS = 512
_REGISTER_FILE, _REGISTERS = 65536, 64
"""Of a multiprocessor; of a thread, about, while panels are small."""
_TALLEST_SMALL_PANEL = 32
_FEWEST_COLUMNS = 320
"""Of a block; with fewer, too few warps share the instructions that are fetched."""


def code_schedule(
    shape: tuple[int, int], columns: int, dtype: str, *, multiprocessors: int, overlap: bool
) -> Schedule:
    """A schedule for an M x K matrix times K x `columns`.

    Blocks that would not all run at once make a second wave, which doubles the time of a kernel
    this short: taller panels avoid it.

    overlap: whether launches can overlap, which pays while a kernel takes a few microseconds.
    """
    # Where N is odd, every second pair of f16 lies across two words: two loads and a move each.
    width = 2 if dtype == "f16" and columns % 2 == 0 else 1
    launch = "overlapped" if overlap else "serial"
    if columns >= _LARGE_N and shape[0] >= 2 * _LOWEST_TALL_PANEL:
        return _one_wave(shape[0], columns, width, multiprocessors)
    height, groups, threads = _small(shape, columns)
    across = math.ceil(columns / (threads * width))
    together = multiprocessors * max(1, _REGISTER_FILE // (threads * groups * _REGISTERS))
    while height < _TALLEST_SMALL_PANEL and math.ceil(shape[0] / height) * across > together:
        height *= 2
    return Schedule(
        rows_per_panel=min(height, shape[0]),
        k_groups=groups,
        threads=threads,
        columns_per_thread=width,
        launch=launch,
    )


def _small(shape: tuple[int, int], columns: int) -> tuple[int, int, int]:
    """Rows per panel, K groups, threads."""
    depth = shape[1]
    if columns <= 64:
        return 4, min(16, max(1, depth // 128)), 64
    if columns >= 2000:
        if depth <= 160:
            return 32, 1, 128 if columns > 8000 else 64
        return 16, 4, 64
    if depth <= 160:
        return 8, 1, 128
    return 8, 4 if depth <= 384 else 8, 64


def _one_wave(rows: int, columns: int, width: int, multiprocessors: int) -> Schedule:
    """As many blocks as multiprocessors: panels as tall as registers allow, columns dealt evenly.

    The loads of x may be reordered freely (serial launch), which counts for more here than the
    microsecond that overlapping saves.
    """
    panels = min(
        (
            count
            for count in _divisors(multiprocessors)
            if rows / count <= _TALLEST_PANEL
            and columns * count / multiprocessors >= _FEWEST_COLUMNS
        ),
        default=multiprocessors,
    )
    height = math.ceil(rows / panels)
    blocks_across = max(1, multiprocessors // panels)
    lanes = math.ceil(columns / (blocks_across * width))
    tiles = math.ceil(lanes / _MOST_THREADS)
    threads = WARP * math.ceil(lanes / (tiles * WARP))
    return Schedule(
        rows_per_panel=height,
        threads=threads,
        column_tiles=tiles,
        columns_per_thread=width,
        stores="streaming",
    )


def _divisors(number: int) -> list[int]:
    return [count for count in range(1, number + 1) if number % count == 0]


def code_bytes(shape: tuple[int, int], nonzeros: int, rows_per_panel: int) -> float:
    """About how many bytes of instructions the matrix becomes, if nonzeros fall anywhere.

    A multiply-add for each nonzero, a load for each row of x that a panel needs.
    """
    rows, depth = shape
    density = nonzeros / (rows * depth)
    loads = math.ceil(rows / rows_per_panel) * depth * (1 - (1 - density) ** rows_per_panel)
    return INSTRUCTION_BYTES * (nonzeros + loads)
