"""Which rows of x a block stages in which step, and where they lie until they are used."""

from dataclasses import dataclass

import numpy as np

from sparsert_ir.dense import Array, IntArray
from sparsert_ir.errors import ScheduleError

_LARGEST_TABLE = 2**26
"""Bytes of the table of all blocks' rows; beyond it the blocks are too small or too uneven."""


@dataclass(frozen=True)
class StagePlan:
    """The steps of S x D rows of x that the blocks of P panels take.

    rows:      B x (S * D) rows of x, by what the panels of block b need, in ascending order; filled
               up with the last one.
    splits:    P x (S + 1) columns of the matrix: where each step begins.
    positions: for each nonzero of the matrix, where its row of x lies in the buffers, of D rows
               each, while it is used.
    depth:     rows of x, K.
    """

    rows: IntArray
    splits: IntArray
    positions: IntArray
    depth: int

    @property
    def steps(self) -> int:
        return self.splits.shape[1] - 1

    @property
    def takes_all(self) -> bool:
        """Whether every block takes every row of x, so that row numbers need no table."""
        taken = int(self.rows.shape[1])
        return bool((self.rows == np.minimum(np.arange(taken), self.depth - 1)).all())


def plan_stages(
    matrix: tuple[Array, Array, int],
    panels: IntArray,
    panels_per_block: int,
    rows_per_stage: int,
    stages: int,
) -> StagePlan:
    """The plan for a CSR matrix (row offsets, column indices, K).

    Work and memory grow with the nonzeros and the steps of the blocks, not with K. ScheduleError
    where the table of rows would be too large.
    """
    offsets, indices, depth = matrix
    blocks = -(-panels.shape[0] // panels_per_block)
    nonzeros = [
        _nonzeros(offsets, panels[b * panels_per_block : (b + 1) * panels_per_block])
        for b in range(blocks)
    ]
    needed = [np.unique(indices[one]) for one in nonzeros]
    steps = max(1, -(-max(columns.size for columns in needed) // rows_per_stage))
    size = blocks * steps * rows_per_stage * 4
    if size > _LARGEST_TABLE:
        raise ScheduleError(
            f"schedule: the table of staged rows must take at most {_LARGEST_TABLE} bytes, got"
            f" {size} ({blocks} blocks, {steps} steps of {rows_per_stage} rows); take taller"
            " panels, more panels_per_block or a smaller rows_per_stage"
        )
    rows = np.zeros((blocks, steps * rows_per_stage), np.int32)
    splits = np.full((blocks, steps + 1), depth, np.int32)
    positions = np.zeros(indices.size, np.int32)
    for block, columns in enumerate(needed):
        if columns.size:
            rows[block] = columns[np.minimum(np.arange(rows.shape[1]), columns.size - 1)]
        starts = columns[::rows_per_stage]
        splits[block, : starts.size] = starts
        place = np.searchsorted(columns, indices[nonzeros[block]])
        buffer = place // rows_per_stage % stages
        positions[nonzeros[block]] = buffer * rows_per_stage + place % rows_per_stage
    splits[:, 0] = 0
    of_panel = np.arange(int(panels.shape[0])) // panels_per_block
    return StagePlan(rows, splits[of_panel], positions, depth)


def _nonzeros(offsets: Array, panels: IntArray) -> Array:
    """The nonzeros of the rows of the panels, by their numbers."""
    rows = panels[panels >= 0]
    begins: list[int] = offsets[rows].tolist()
    ends: list[int] = offsets[rows + 1].tolist()
    return np.concatenate([np.arange(*bounds) for bounds in zip(begins, ends, strict=True)])
