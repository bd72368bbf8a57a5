"""Schedules for matrices that become GPU code, chosen by rules read off measurements.

The rules follow sweeps over 18 layers on an H200 (docs/performance.md): a few columns per block and
many small panels with K groups where N is small, so that every multiprocessor has work and the
loads of x are spread; one wave of blocks with two tall panels each where N is large, so that each
element of x that is taken in meets many rows.
"""

import math
from dataclasses import replace

from sparsert_ir.element_types import fastest_accumulation
from sparsert_ir.gpu_facts import INSTRUCTION_BYTES, WARP
from sparsert_ir.schedule import Schedule

LARGE_N = 4000
"""Columns from which taking in x is what limits a kernel."""
_ROWS_PER_BLOCK, _LOWEST_TALL_PANEL = 96, 40
"""With large N: of the two panels that share a block's columns of x."""
_MOST_LANES = 384
"""Of a panel with large N; with two panels they are 24 warps of at most 80 registers."""
_FULL_BLOCK = 320
"""Lanes of a panel: with fewer, too few warps share the instructions that are fetched."""
_DEEP = 1024
"""K from which it pays that two blocks of a cluster take half of it each."""
_REGISTER_FILE, _REGISTERS = 65536, 64
"""Of a multiprocessor; of a thread, about, while panels are small."""
_TALLEST_SMALL_PANEL = 32


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
    if columns >= LARGE_N and shape[0] >= 2 * _LOWEST_TALL_PANEL:
        tall = _one_wave(shape, columns, width, multiprocessors, clusters=overlap)
        return replace(tall, accumulation=fastest_accumulation(dtype))
    height, groups, threads = _small(shape, columns)
    across = math.ceil(columns / (threads * width))
    together = multiprocessors * max(1, _REGISTER_FILE // (threads * groups * _REGISTERS))
    while height < _TALLEST_SMALL_PANEL and math.ceil(shape[0] / height) * across > together:
        height *= 2
    return Schedule(
        accumulation=fastest_accumulation(dtype),
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


def _one_wave(
    shape: tuple[int, int], columns: int, width: int, multiprocessors: int, *, clusters: bool
) -> Schedule:
    """As many blocks as multiprocessors, each with two panels on the same columns of x: the second
    panel finds in the L1 cache what the first one loaded, and many warps hide each other's loads.

    What a multiprocessor takes in of x bounds these kernels: where K is deep, two blocks share it.
    The loads of x may be reordered freely (serial launch), which counts for more here than the
    microsecond that overlapping saves.
    """
    rows, depth = shape
    stacks = min(
        (count for count in _divisors(multiprocessors) if rows / count <= _ROWS_PER_BLOCK),
        default=multiprocessors,
    )
    lanes = columns / width * stacks / multiprocessors
    cluster = 2 if clusters and depth >= _DEEP and lanes < _FULL_BLOCK else 1
    lanes *= cluster
    tiles = math.ceil(lanes / _MOST_LANES)
    return Schedule(
        rows_per_panel=math.ceil(rows / (2 * stacks)),
        panels_per_block=2,
        cluster=cluster,
        threads=WARP * math.ceil(lanes / (tiles * WARP)),
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
