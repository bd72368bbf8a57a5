"""Copying a part of x to the shared memory of a block, many loads on their way at once."""

from dataclasses import dataclass
from functools import partial
from math import prod
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


@dataclass(frozen=True, kw_only=True)
class SliceCopy:
    """Copies `rows` rows of x from row `first` on, `width` columns from a tile's first column on.

    threads: of the block, all of which take part.
    columns: of x, N; the copy holds 0 where the tile reaches past them.
    depth:   rows of x, K.
    staged_rows: rows of the array in shared memory.
    """

    element_type: AnyFloat
    threads: int
    columns: int
    depth: int
    width: int
    first: int
    rows: int
    staged_rows: int

    def write(self, code: Code, x: SSAValue, staged: SSAValue, column: SSAValue) -> None:
        """Emit the copy; `column` is the tile's first column. A barrier must follow."""
        thread = code.insert(gpu.ThreadIdOp("x"))
        if self._flat:
            x, staged = flattened(code, x), flattened(code, staged)
        piece_bytes = self._piece * self.element_type.bitwidth // 8
        most = min(_MOST_ON_THEIR_WAY, _BYTES_ON_THEIR_WAY // piece_bytes)
        count = even_batch(-(-self._pieces // self.threads), most)
        per_batch = self.threads * count
        if self._pieces <= per_batch:
            self._batch(code, x, staged, column, thread, count)
            return

        def one_batch(inner: Code, begin: SSAValue) -> None:
            self._batch(inner, x, staged, column, inner.add(begin, thread), count)

        code.loop(code.index(0), code.index(self._pieces), code.index(per_batch), one_batch)

    @property
    def _flat(self) -> bool:
        """Whether the rows follow each other in x as they do in shared memory."""
        return self.columns == self.width

    @property
    def _piece(self) -> int:
        """Elements that one load takes: as many as 16 bytes hold, if all starts are multiples."""
        sizes = [self.columns, self.width]
        if self._flat:
            sizes = [self.width * n for n in (self.first, self.rows, self.depth, self.staged_rows)]
        piece = _WIDEST_BITS // self.element_type.bitwidth
        while any(size % piece for size in sizes):
            piece //= 2
        return piece

    @property
    def _pieces(self) -> int:
        return self.rows * self.width // self._piece

    def _batch(
        self,
        code: Code,
        x: SSAValue,
        staged: SSAValue,
        column: SSAValue,
        begin: SSAValue,
        count: int,
    ) -> None:
        """The pieces `begin`, `begin + threads`, ...: all loads, then all stores."""
        last = code.index(self._pieces - 1)
        numbers = [code.add(begin, code.index(i * self.threads)) for i in range(count)]
        values = [self._load(code, x, column, code.minimum(n, last)) for n in numbers]
        for number, value in zip(numbers, values, strict=True):
            store = StoreColumnsOp(value, staged, self._place(code, number))
            insert_below(code, number, self._pieces, store)

    def _place(self, code: Code, number: SSAValue) -> list[SSAValue]:
        """Where a piece lies in shared memory."""
        if self._flat:
            return [code.multiply(number, code.index(self._piece))]
        per_row = code.index(self.width // self._piece)
        row = code.insert(arith.DivUIOp(number, per_row))
        piece = code.insert(arith.RemUIOp(number, per_row))
        return [row, code.multiply(piece, code.index(self._piece))]

    def _load(self, code: Code, x: SSAValue, column: SSAValue, number: SSAValue) -> SSAValue:
        piece = self._piece
        kind: Attribute = self.element_type
        if piece > 1:
            kind = VectorType(self.element_type, [piece])
        place = self._place(code, number)
        if self._flat:
            offset = code.add(place[0], code.index(self.first * self.width))
            return code.insert(LoadColumnsOp(x, [offset], kind))
        row, here = code.add(place[0], code.index(self.first)), code.add(column, place[1])
        if self.columns % self.width == 0:
            return code.insert(LoadColumnsOp(x, [row, here], kind))
        inside = code.compare(here, "ult", code.index(self.columns))
        safe = code.minimum(here, code.index(self.columns - piece))
        value = code.insert(LoadColumnsOp(x, [row, safe], kind))
        return code.select(inside, value, splat(code, code.number(0.0, self.element_type), kind))


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
