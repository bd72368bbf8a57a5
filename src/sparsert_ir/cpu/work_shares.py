"""Dealing the tiles and panels of a product to the threads of a CPU."""

import itertools
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sparsert_ir.cpu.column_tiles import ColumnTiles

Array: TypeAlias = npt.NDArray[Any]

BOUNDS = 4
"""Last arguments of what threads call: first and last tile, first and last panel, exclusive."""

PANEL_WORK = 6
"""What a panel's row costs besides its nonzeros, in nonzeros: loop ends, epilogue, store."""


_STRETCHES = 2
"""Per thread. One that comes late, or runs on a busy core, then leaves work to the others."""


def part_name(name: str) -> str:
    """The function of kernel `name` that computes some tiles and panels."""
    return f"{name}_part"


@dataclass(frozen=True)
class Part:
    """Tiles [first_tile, last_tile) of panels [first_panel, last_panel)."""

    first_tile: int
    last_tile: int
    first_panel: int
    last_panel: int

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        return self.first_tile, self.last_tile, self.first_panel, self.last_panel


def panel_work(row_lengths: Array, panels: Array) -> Array:
    """What each panel costs, in multiply-adds of one column; `panels` as in `balanced_panels`."""
    lengths = np.where(panels >= 0, row_lengths[panels] + PANEL_WORK, 0)
    return lengths.sum(axis=1)


def work_parts(tiles: ColumnTiles, work: Array, threads: int) -> list[Part]:
    """Parts that `threads` threads take one by one: together every tile of every panel once, the
    largest first.

    Each thread could take `_STRETCHES` equal stretches of the work. Where there are more threads
    than tiles, or as many, a tile's panels are dealt to several.
    """
    if threads == 1:
        return [Part(0, tiles.count, 0, work.size)]
    dealt = shares(tiles, work, _STRETCHES * threads)
    parts = [part for share in dealt for part in share]
    ends = np.concatenate([[0], np.cumsum(work)])

    def size(part: Part) -> int:
        columns = sum(tiles.width_of(tile) for tile in range(part.first_tile, part.last_tile))
        return columns * int(ends[part.last_panel] - ends[part.first_panel])

    return sorted(parts, key=size, reverse=True)


def shares(tiles: ColumnTiles, work: Array, threads: int) -> list[list[Part]]:
    """The parts of each thread: together every tile of every panel once.

    Tiles follow one another, each with all its panels, and every thread takes an equal stretch by
    work; only the tiles at its ends are shared with its neighbours. No share is empty, so there are
    fewer of them than threads where there is little to deal.
    """
    ends = np.concatenate([[0], np.cumsum(work)])
    per_column = int(ends[-1])
    total = per_column * tiles.columns
    marks = [(0, 0)]
    for thread in range(1, threads):
        mark = _mark(tiles, ends, total * thread // threads)
        if mark > marks[-1]:
            marks.append(mark)
    marks.append((tiles.count, 0))
    pairs = itertools.pairwise(marks)
    return [parts for begin, end in pairs if (parts := _parts(begin, end, work.size))]


def _mark(tiles: ColumnTiles, ends: Array, position: int) -> tuple[int, int]:
    """The tile and the panel at which so much work is done."""
    per_column = int(ends[-1])
    tile = min(position // max(per_column * tiles.width, 1), tiles.count - 1)
    rest = position - tile * per_column * tiles.width
    panel = int(np.searchsorted(ends, rest / tiles.width_of(tile), side="left"))
    return (tile + 1, 0) if panel >= ends.size - 1 else (tile, panel)


def _parts(begin: tuple[int, int], end: tuple[int, int], panels: int) -> list[Part]:
    (first, first_panel), (last, last_panel) = begin, end
    if first == last:
        return [Part(first, first + 1, first_panel, last_panel)] if first_panel < last_panel else []
    parts: list[Part] = []
    if first_panel:
        parts.append(Part(first, first + 1, first_panel, panels))
        first += 1
    if first < last:
        parts.append(Part(first, last, 0, panels))
    if last_panel:
        parts.append(Part(last, last + 1, 0, last_panel))
    return parts
