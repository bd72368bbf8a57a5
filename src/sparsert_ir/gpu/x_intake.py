"""Bringing rows of x to shared memory ahead of their use: the code of one block."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, MemRefType
from xdsl.ir import SSAValue

from sparsert_ir.building import Code
from sparsert_ir.dialects.sparsert import (
    AsyncCommitOp,
    AsyncCopyOp,
    AsyncWaitOp,
    AwaitBytesOp,
    BulkCopyOp,
    ExpectBytesOp,
    MakeSignalsOp,
)
from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu.staging import insert_below, insert_if
from sparsert_ir.gpu_facts import ASYNC_COPY_BYTES, BULK_COPY_BYTES, WARP


class Intake(Protocol):
    """How the steps' rows come to the buffers. Each method writes code that all threads run."""

    def open(self, code: Code) -> None:
        """What comes before the first copy."""
        ...

    def start(self, code: Code, step: SSAValue) -> None:
        """Start to copy a step."""
        ...

    def close(self, code: Code) -> None:
        """What follows a step's copies, whether or not there were any."""
        ...

    def wait(self, code: Code, step: SSAValue) -> None:
        """Wait until the thread's own part of a step is there; a barrier follows."""
        ...


@dataclass(frozen=True, kw_only=True)
class StagedBlock:
    """Steps of `rows_per_stage` rows of x, in as many buffers of `staged` as there are `stages`.

    threads: of the block. thread: number of this one.
    tile:    first column of the block. width: its columns.
    table:   the rows of each step for block `number`; None: all rows, in order.
    """

    x: SSAValue
    staged: SSAValue
    threads: int
    thread: SSAValue
    tile: SSAValue
    width: int
    rows_per_stage: int
    stages: int
    table: SSAValue | None
    number: SSAValue

    @property
    def _x_type(self) -> MemRefType[AnyFloat]:
        return cast(MemRefType[AnyFloat], self.x.type)

    @property
    def columns(self) -> int:
        """Of x, N."""
        return self._x_type.get_shape()[1]

    @property
    def element_bytes(self) -> int:
        return self._x_type.element_type.bitwidth // 8

    def buffer(self, code: Code, step: SSAValue) -> SSAValue:
        return code.insert(arith.RemUIOp(step, code.index(self.stages)))

    def places(self, code: Code, step: SSAValue) -> tuple[SSAValue, SSAValue]:
        """A step's first row, counted as they are taken, and its first row in the buffers."""
        rows = code.index(self.rows_per_stage)
        return code.multiply(step, rows), code.multiply(self.buffer(code, step), rows)

    def deal(
        self, code: Code, count: int, dealers: int, body: Callable[[Code, SSAValue], None]
    ) -> None:
        """Numbers below `count` to the first threads of the block, so many, in turns."""
        for begin in range(0, count, dealers):
            number = code.add(self.thread, code.index(begin))
            if begin + dealers <= count:
                body(code, number)
                continue
            inside = code.compare(number, "ult", code.index(count))
            code.when(inside, lambda inner, number=number: body(inner, number))

    def row_of_x(self, code: Code, number: SSAValue) -> SSAValue:
        """Which row of x is taken as number so many."""
        if self.table is not None:
            return code.as_index(code.load(self.table, self.number, number))
        depth = self._x_type.get_shape()[0]
        if depth % self.rows_per_stage == 0:
            return number
        return code.minimum(number, code.index(depth - 1))


@dataclass(frozen=True)
class AsyncIntake:
    """All threads share the copies, each of some adjacent elements."""

    block: StagedBlock

    def open(self, code: Code) -> None:
        """Nothing."""

    def close(self, code: Code) -> None:
        code.do(AsyncCommitOp())

    def wait(self, code: Code, step: SSAValue) -> None:
        code.do(AsyncWaitOp(self.block.stages - 2))

    def start(self, code: Code, step: SSAValue) -> None:
        block, count = self.block, self._elements_per_copy()
        first, slot = block.places(code, step)

        def copy_piece(inner: Code, number: SSAValue) -> None:
            per_row = inner.index(block.width // count)
            row = inner.insert(arith.DivUIOp(number, per_row))
            piece = inner.insert(arith.RemUIOp(number, per_row))
            place = inner.multiply(piece, inner.index(count))
            column = inner.add(block.tile, place)
            source = block.row_of_x(inner, inner.add(first, row)), column
            copy = AsyncCopyOp(block.x, source, block.staged, (inner.add(slot, row), place), count)
            if block.columns % block.width:
                insert_below(inner, column, block.columns, copy)
            else:
                inner.do(copy)

        block.deal(code, block.rows_per_stage * block.width // count, block.threads, copy_piece)

    def _elements_per_copy(self) -> int:
        """As many as 16 bytes hold, if all copies can start at multiples of that."""
        columns, width = self.block.columns, self.block.width
        for byte_count in reversed(ASYNC_COPY_BYTES):
            count = byte_count // self.block.element_bytes
            if count >= 1 and columns % count == 0 and width % count == 0:
                return count
        raise ScheduleError(
            "schedule: staging = async copies 4 bytes or more at once: with elements of 2 bytes it"
            " needs even N and an even number of columns per block, got"
            f" N = {columns} and {width} columns"
        )


@dataclass(frozen=True)
class BulkIntake:
    """The lanes of one warp copy whole rows; a signal for each buffer counts their bytes.

    signals: one for each buffer.
    """

    block: StagedBlock
    signals: SSAValue

    def __post_init__(self) -> None:
        size = self.block.element_bytes
        rows, tiles = self.block.columns * size, self.block.width * size
        if rows % BULK_COPY_BYTES or tiles % BULK_COPY_BYTES:
            raise ScheduleError(
                f"schedule: staging = bulk copies multiples of {BULK_COPY_BYTES} bytes: expected"
                f" rows of x and of a block's columns of so many, got {rows} and {tiles}"
            )

    def open(self, code: Code) -> None:
        code.do(MakeSignalsOp(self.signals))

    def close(self, code: Code) -> None:
        """Nothing."""

    def start(self, code: Code, step: SSAValue) -> None:
        copiers = min(WARP, self.block.threads, self.block.rows_per_stage)
        is_copier = code.compare(self.block.thread, "ult", code.index(copiers))
        code.when(is_copier, lambda inner: self._copy_rows(inner, step, copiers))

    def wait(self, code: Code, step: SSAValue) -> None:
        phase = code.insert(arith.DivUIOp(step, code.index(self.block.stages)))
        parity = code.insert(arith.RemUIOp(phase, code.index(2)))
        code.do(AwaitBytesOp(self.signals, self.block.buffer(code, step), parity))

    def _copy_rows(self, code: Code, step: SSAValue, copiers: int) -> None:
        block = self.block
        first, slot = block.places(code, step)
        buffer, count = block.buffer(code, step), self._count(code)
        row_bytes = code.index(block.rows_per_stage * block.element_bytes)
        expect = ExpectBytesOp(self.signals, buffer, code.multiply(count, row_bytes))
        insert_if(code, code.compare(block.thread, "eq", code.index(0)), expect)

        def copy_row(inner: Code, row: SSAValue) -> None:
            source = block.row_of_x(inner, inner.add(first, row)), block.tile
            target = inner.add(slot, row), inner.index(0)
            copy = (block.x, source, block.staged, target, count, self.signals, buffer)
            inner.do(BulkCopyOp(*copy))

        block.deal(code, block.rows_per_stage, copiers, copy_row)

    def _count(self, code: Code) -> SSAValue:
        """Columns of the block, fewer at the end of x."""
        width = code.index(self.block.width)
        if self.block.columns % self.block.width == 0:
            return width
        left = code.insert(arith.SubiOp(code.index(self.block.columns), self.block.tile))
        return code.minimum(left, width)
