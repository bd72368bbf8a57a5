"""Which schedule to use for tensor cores (`instruction = mma`), for products and convolutions.

A block gathers or copies its 8 or 16 columns of x once, then its warps take panels of its rows. The
rules follow measurements on one H200 (see docs/data-lowering.md).
"""

import math
from dataclasses import dataclass, replace

from sparsert_ir.element_types import ELEMENT_BYTES, default_accumulation
from sparsert_ir.gpu_facts import BLOCK_THREADS, MMA_TILE, WARP
from sparsert_ir.layout.packing import MMA_LINES, most_rows_held
from sparsert_ir.schedule import Schedule

_CLOCKS_PER_NONZERO, _MORE_PER_TILE = 0.04, 0.17
"""Of a multiprocessor, for each nonzero, and for each 8 columns that it is used for."""
_CLOCKS_PER_ROW, _STAGING_CLOCKS = 0.52, 1800
"""To bring 8 columns of a row of x near, and to begin to."""
_MOST_WARPS, _FEW_WARPS = 28, 21
"""Of a block: with more there are too few registers; up to the second, enough for four stages."""
_FEWEST_ROWS, _FEWEST_WARPS = 8, 4
"""Of a block: few warps would take long to bring x near."""
_LONG_ROW = 800
"""Nonzeros from which a warp waits for the stream rather than for x."""


@dataclass(frozen=True)
class TensorCoreFacts:
    """An M x K matrix (shape) with so many nonzeros, times so many columns.

    shared_memory: bytes that a block can have.
    """

    shape: tuple[int, int]
    nonzeros: int
    columns: int
    dtype: str
    multiprocessors: int
    shared_memory: int

    @property
    def row_length(self) -> float:
        return self.nonzeros / self.shape[0]

    def holds_all(self, tiles: int) -> bool:
        """Whether a block holds so many times 8 columns of all rows of x at once."""
        row_bytes = tiles * MMA_TILE * ELEMENT_BYTES[self.dtype]
        return self.shape[1] <= most_rows_held(row_bytes, self.shared_memory)

    def blocks_per_tile(self, tiles: int) -> int:
        """That share the rows: so many that the last of all blocks ends as early as can be."""
        across = -(-self.columns // (tiles * MMA_TILE))
        stage = _STAGING_CLOCKS + self.shape[1] * tiles * _CLOCKS_PER_ROW
        multiply = self.nonzeros * (_CLOCKS_PER_NONZERO + _MORE_PER_TILE * tiles)

        def clocks(blocks: int) -> float:
            waves = -(-across * blocks // self.multiprocessors)
            return waves * (stage + multiply / blocks)

        most = max(1, min(self.multiprocessors, self.shape[0] // _FEWEST_ROWS))
        return min(range(1, most + 1), key=clocks)


def tensor_core_schedule(facts: TensorCoreFacts) -> Schedule:
    """For a product: 16 columns of x in a block where it holds them and there are as many."""
    narrow = facts.columns <= MMA_TILE or (facts.holds_all(1) and not facts.holds_all(2))
    return _schedule(facts, 1 if narrow else 2)


def tensor_core_convolution(facts: TensorCoreFacts) -> Schedule:
    """For a convolution: 8 columns, the fewest to gather, by as many threads as there can be, or by
    half as many where a multiprocessor has several blocks.
    """
    across = -(-facts.columns // MMA_TILE)
    alone = across * facts.blocks_per_tile(1) <= facts.multiprocessors
    all_warps = BLOCK_THREADS // WARP
    return replace(_schedule(facts, 1, all_warps if alone else all_warps // 2), stages=2)


def _schedule(facts: TensorCoreFacts, tiles: int, most: int = _MOST_WARPS) -> Schedule:
    """The lowest panels of which a block has no more than `most`, one for each of its warps; beyond
    the highest panels, warps take them in turn.
    """
    rows = -(-facts.shape[0] // facts.blocks_per_tile(tiles))
    height = min(MMA_LINES, _lines_filled(facts.row_length))
    while height > 1 and rows < height * _FEWEST_WARPS:
        height //= 2
    while height < MMA_LINES and rows > height * most:
        height *= 2
    panels = -(-rows // height)
    turns = -(-panels // most) if facts.holds_all(tiles) else 1
    warps = min(-(-panels // turns), most)
    short_of_bytes = facts.row_length >= _LONG_ROW and warps > _MOST_WARPS // 2 and turns == 1
    deep = warps <= _FEW_WARPS and (tiles == 1 or short_of_bytes)
    return Schedule(
        lowering="data",
        rows_per_panel=height,
        columns_per_thread=MMA_TILE,
        column_groups=tiles,
        threads=warps * WARP,
        chunk=4,
        stages=4 if deep else 2,
        panels_per_warp=turns,
        accumulation=default_accumulation(facts.dtype),
        instruction="mma",
    )


def _lines_filled(row_length: float) -> int:
    """Rows of a panel whose lines have 16 nonzeros each, or nearly, of one row."""
    lines = max(1.0, row_length / 16)
    return MMA_LINES // min(MMA_LINES, 1 << math.floor(math.log2(lines)))
