"""Which rows of x a block stages in which step, and the code that copies them ahead of use."""

from dataclasses import dataclass

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat
from xdsl.ir import SSAValue

from sparsert_ir.building import Code
from sparsert_ir.dense import Array, IntArray
from sparsert_ir.dialects.sparsert import AsyncCopyOp
from sparsert_ir.dialects.sparsert.staging import ASYNC_COPY_BYTES
from sparsert_ir.errors import ScheduleError
from sparsert_ir.staging import insert_below


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


def elements_per_copy(element_type: AnyFloat, columns: int, tile: int) -> int:
    """How many elements one copy takes: as many as 16 bytes hold, if all of them can start at
    multiples of that. ScheduleError where not even 4 bytes can.

    columns: of x, N. tile: columns of a block.
    """
    size = element_type.bitwidth // 8
    for byte_count in reversed(ASYNC_COPY_BYTES):
        count = byte_count // size
        if count >= 1 and columns % count == 0 and tile % count == 0:
            return count
    raise ScheduleError(
        "schedule: staging = async copies 4 bytes or more at once: in f16 it needs even N and an"
        f" even number of columns per block, got N = {columns} and {tile} columns"
    )


@dataclass(frozen=True, kw_only=True)
class StageCopy:
    """Starts the copy of one step, shared among all threads of a block.

    threads: of the block. thread: number of this one.
    columns: of x, N. depth: rows of x, K. tile: first column of the block.
    width:   columns of the block.
    count:   elements that one copy takes.
    table:   the rows of each step for block `block`; None: all rows, in order.
    """

    x: SSAValue
    staged: SSAValue
    threads: int
    thread: SSAValue
    columns: int
    depth: int
    tile: SSAValue
    width: int
    count: int
    rows_per_stage: int
    stages: int
    table: SSAValue | None
    block: SSAValue

    def write(self, code: Code, step: SSAValue) -> None:
        """Emit the copies of a step."""
        first = code.multiply(step, code.index(self.rows_per_stage))
        buffer = code.insert(arith.RemUIOp(step, code.index(self.stages)))
        slot = code.multiply(buffer, code.index(self.rows_per_stage))
        pieces = self.rows_per_stage * self._per_row
        for begin in range(0, pieces, self.threads):
            number = code.add(self.thread, code.index(begin))
            if begin + self.threads <= pieces:
                self._copy(code, number, first, slot)
            else:
                inside = code.compare(number, "ult", code.index(pieces))
                code.when(
                    inside, lambda inner, number=number: self._copy(inner, number, first, slot)
                )

    @property
    def _per_row(self) -> int:
        return self.width // self.count

    def _copy(self, code: Code, number: SSAValue, first: SSAValue, slot: SSAValue) -> None:
        """Piece `number` of the step."""
        per_row = code.index(self._per_row)
        row = code.insert(arith.DivUIOp(number, per_row))
        place = code.multiply(code.insert(arith.RemUIOp(number, per_row)), code.index(self.count))
        column = code.add(self.tile, place)
        source = self._row_of_x(code, code.add(first, row))
        copy = AsyncCopyOp(
            self.x, (source, column), self.staged, (code.add(slot, row), place), self.count
        )
        if self.columns % self.width:
            insert_below(code, column, self.columns, copy)
        else:
            code.do(copy)

    def _row_of_x(self, code: Code, number: SSAValue) -> SSAValue:
        if self.table is not None:
            return code.as_index(code.load(self.table, self.block, number))
        if self.depth % self.rows_per_stage == 0:
            return number
        return code.minimum(number, code.index(self.depth - 1))
