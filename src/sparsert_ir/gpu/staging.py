"""Copying a part of x to the shared memory of a block, many loads on their way at once."""

from dataclasses import dataclass
from functools import partial
from math import gcd, prod
from typing import cast

from xdsl.dialects import arith, memref
from xdsl.dialects.builtin import (
    AnyFloat,
    ArrayAttr,
    IntegerAttr,
    MemRefType,
    VectorType,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue

from sparsert_ir.building import Code
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import LoadColumnsOp, StoreColumnsOp
from sparsert_ir.epilogue import splat

_MOST_ON_THEIR_WAY = 32
_BYTES_ON_THEIR_WAY = 128
"""Loads of a thread before it stores the first, and bytes of them."""
_WIDEST_BITS = 128


@dataclass(frozen=True)
class StagedSlice:
    """Rows of x in shared memory, cut into pieces of `piece` columns, one piece of all rows after
    another: element (row, column) lies in row `column // piece * rows + row` of `array`.
    """

    array: SSAValue
    rows: int
    piece: int

    def place(self, code: Code, row: SSAValue, column: SSAValue) -> list[SSAValue]:
        """Where an element lies in the array."""
        if self.whole:
            return [row, column]
        piece, within = code.divide(column, self.piece)
        return [code.add(code.multiply(piece, code.index(self.rows)), row), within]

    def store(self, code: Code, value: SSAValue, row: SSAValue, column: SSAValue) -> None:
        """Store adjacent columns of a row."""
        code.do(StoreColumnsOp(value, self.array, self.place(code, row, column)))

    @property
    def whole(self) -> bool:
        """Whether rows are in one piece."""
        return cast(MemRefType[Attribute], self.array.type).get_shape()[0] == self.rows


@dataclass(frozen=True, kw_only=True)
class SliceCopy:
    """Copies `rows` rows of x from row `first` on, `width` columns from a tile's first column on.

    threads: of the block, all of which take part.
    columns: of x, N; the copy holds 0 where the tile reaches past them.
    depth:   rows of x, K.
    first:   where it is not known before the kernel runs, a multiple of `rows`.
    """

    element_type: AnyFloat
    threads: int
    columns: int
    depth: int
    width: int
    first: int | SSAValue
    rows: int

    def write(self, code: Code, x: SSAValue, staged: StagedSlice, column: SSAValue) -> None:
        """Emit the copy; `column` is the tile's first column. A barrier must follow."""
        way = self._way(code, x, staged, column)
        thread = code.insert(gpu.ThreadIdOp("x"))
        piece_bytes = way.piece * self.element_type.bitwidth // 8
        most = min(_MOST_ON_THEIR_WAY, _BYTES_ON_THEIR_WAY // piece_bytes)
        pieces = self.rows * self.width // way.piece
        count = even_batch(-(-pieces // self.threads), most)
        per_batch = self.threads * count
        if pieces <= per_batch:
            self._batch(code, way, pieces, thread, count)
            return

        def one_batch(inner: Code, begin: SSAValue) -> None:
            self._batch(inner, way, pieces, inner.add(begin, thread), count)

        code.loop(code.index(0), code.index(pieces), code.index(per_batch), one_batch)

    def _way(
        self, code: Code, x: SSAValue, staged: StagedSlice, column: SSAValue
    ) -> "_RowByRow | _Flat":
        """Pieces are as long as 16 bytes hold, if all starts are multiples."""
        widest = _WIDEST_BITS // self.element_type.bitwidth
        if self.columns == self.width and staged.whole:
            rows = [self.rows, self.depth, staged.rows]
            rows += [self.first] if isinstance(self.first, int) else []
            x, array = flattened(code, x), flattened(code, staged.array)
            return _Flat(self, gcd(widest, *(self.width * n for n in rows)), x, array)
        piece = gcd(widest, self.columns, self.width, staged.piece)
        return _RowByRow(self, piece, x, staged, column)

    def _batch(
        self, code: Code, way: "_RowByRow | _Flat", pieces: int, begin: SSAValue, count: int
    ) -> None:
        """The pieces `begin`, `begin + threads`, ...: all loads, then all stores."""
        last = code.index(pieces - 1)
        numbers = [code.add(begin, code.index(i * self.threads)) for i in range(count)]
        values = [way.load(code, code.minimum(n, last)) for n in numbers]
        for number, value in zip(numbers, values, strict=True):
            place = way.place(code, number)
            store = StoreColumnsOp(value, way.array, place)
            insert_below(code, number, pieces, store)


@dataclass(frozen=True)
class _Flat:
    """Rows that follow each other in x as they do in shared memory: one copy of all."""

    copy: SliceCopy
    piece: int
    x: SSAValue
    array: SSAValue

    def place(self, code: Code, number: SSAValue) -> list[SSAValue]:
        """Where a piece lies in shared memory."""
        return [code.multiply(number, code.index(self.piece))]

    def load(self, code: Code, number: SSAValue) -> SSAValue:
        """A piece of x."""
        first, width = self.copy.first, self.copy.width
        known = isinstance(first, int)
        start = code.index(first * width) if known else code.multiply(first, code.index(width))
        offset = code.add(self.place(code, number)[0], start)
        kind = _lane_type(self.copy.element_type, self.piece)
        return code.insert(LoadColumnsOp(self.x, [offset], kind))


@dataclass(frozen=True)
class _RowByRow:
    """Some columns of each row."""

    copy: SliceCopy
    piece: int
    x: SSAValue
    staged: StagedSlice
    column: SSAValue

    @property
    def array(self) -> SSAValue:
        return self.staged.array

    def place(self, code: Code, number: SSAValue) -> list[SSAValue]:
        """Where a piece lies in shared memory."""
        return self.staged.place(code, *self._split(code, number))

    def _split(self, code: Code, number: SSAValue) -> tuple[SSAValue, SSAValue]:
        """Row, and column in the tile, of a piece."""
        per_row = code.index(self.copy.width // self.piece)
        row = code.insert(arith.DivUIOp(number, per_row))
        piece = code.insert(arith.RemUIOp(number, per_row))
        return row, code.multiply(piece, code.index(self.piece))

    def load(self, code: Code, number: SSAValue) -> SSAValue:
        """A piece of x; 0 past its last column."""
        copy, piece = self.copy, self.piece
        kind = _lane_type(copy.element_type, piece)
        row, within = self._split(code, number)
        first = code.index(copy.first) if isinstance(copy.first, int) else copy.first
        row, here = code.add(row, first), code.add(self.column, within)
        if copy.columns % copy.width == 0:
            return code.insert(LoadColumnsOp(self.x, [row, here], kind))
        inside = code.compare(here, "ult", code.index(copy.columns))
        safe = code.minimum(here, code.index(copy.columns - piece))
        value = code.insert(LoadColumnsOp(self.x, [row, safe], kind))
        return code.select(inside, value, splat(code, code.number(0.0, copy.element_type), kind))


def _lane_type(element_type: AnyFloat, width: int) -> Attribute:
    return element_type if width == 1 else VectorType(element_type, [width])


def even_batch(rounds: int, most: int) -> int:
    """How many of `rounds` to do at a time, at most `most`, so that all batches are about full."""
    return -(-rounds // -(-rounds // most))


def insert_below(code: Code, number: SSAValue, limit: int, op: Operation) -> None:
    """Insert `op`, to be done where `number` is below `limit`."""
    insert_if(code, code.compare(number, "ult", code.index(limit)), op)


def insert_if(code: Code, condition: SSAValue, op: Operation) -> None:
    """Insert `op`, to be done where `condition` holds."""
    code.when(condition, partial(_insert, op))


def _insert(op: Operation, code: Code) -> None:
    code.do(op)


def flattened(code: Code, buffer: SSAValue) -> SSAValue:
    """A row-major buffer as one row of all its elements."""
    kind = cast(MemRefType[Attribute], buffer.type)
    shape = kind.get_shape()
    flat = MemRefType(kind.element_type, [prod(shape)], memory_space=kind.memory_space)
    together = ArrayAttr([ArrayAttr([IntegerAttr(axis, i64) for axis in range(len(shape))])])
    view = memref.CollapseShapeOp(
        operands=[buffer], result_types=[flat], properties={"reassociation": together}
    )
    return code.insert(view)
