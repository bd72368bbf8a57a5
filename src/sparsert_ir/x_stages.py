"""Which rows of x a block stages in which step, and where they lie until they are used."""

from dataclasses import dataclass

import numpy as np

from sparsert_ir.dense import Array, IntArray


@dataclass(frozen=True)
class StagePlan:
    """The steps of S x D rows of x that the blocks of P panels take.

    rows:      B x (S * D) rows of x, by what the panels of block b need, in ascending order; filled
               up with the last one.
    splits:    P x (S + 1) columns of the matrix: where each step begins.
    positions: P x K: where row k of x lies in the buffers, of D rows each, while it is used.
    """

    rows: IntArray
    splits: IntArray
    positions: IntArray

    @property
    def steps(self) -> int:
        return self.splits.shape[1] - 1

    @property
    def takes_all(self) -> bool:
        """Whether every block takes every row of x, so that row numbers need no table."""
        depth, taken = int(self.positions.shape[1]), int(self.rows.shape[1])
        return bool((self.rows == np.minimum(np.arange(taken), depth - 1)).all())


def plan_stages(
    matrix: tuple[Array, Array, int],
    panels: IntArray,
    panels_per_block: int,
    rows_per_stage: int,
    stages: int,
) -> StagePlan:
    """The plan for a CSR matrix (row offsets, column indices, K)."""
    offsets, indices, depth = matrix
    blocks = -(-panels.shape[0] // panels_per_block)
    needed = [
        _columns(offsets, indices, panels[b * panels_per_block : (b + 1) * panels_per_block])
        for b in range(blocks)
    ]
    steps = max(1, -(-max(columns.size for columns in needed) // rows_per_stage))
    rows = np.zeros((blocks, steps * rows_per_stage), np.int32)
    splits = np.full((blocks, steps + 1), depth, np.int32)
    positions = np.zeros((blocks, depth), np.int32)
    for block, columns in enumerate(needed):
        if columns.size:
            rows[block] = columns[np.minimum(np.arange(rows.shape[1]), columns.size - 1)]
        starts = columns[::rows_per_stage]
        splits[block, : starts.size] = starts
        place = np.arange(columns.size)
        buffer = place // rows_per_stage % stages
        positions[block, columns] = buffer * rows_per_stage + place % rows_per_stage
    splits[:, 0] = 0
    of_panel = np.arange(int(panels.shape[0])) // panels_per_block
    return StagePlan(rows, splits[of_panel], positions[of_panel])


def _columns(offsets: Array, indices: Array, panels: IntArray) -> Array:
    """The columns in which any row of the panels has a nonzero, ascending."""
    rows = panels[panels >= 0]
    return np.unique(np.concatenate([indices[offsets[r] : offsets[r + 1]] for r in rows]))
