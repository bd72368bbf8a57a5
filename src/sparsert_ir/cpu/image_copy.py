"""Host code that makes the padded copy of what a tile of a convolution reads (see padding.py)."""

from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.dialects import arith, func
from xdsl.dialects.builtin import AnyFloat, IndexType, MemRefType, VectorType
from xdsl.ir import Attribute, Block, Region, SSAValue

from sparsert_ir.building import Code, array_type
from sparsert_ir.cpu.column_tiles import pieces
from sparsert_ir.cpu.image_tiles import ImageTiles
from sparsert_ir.cpu.padding import copied_columns
from sparsert_ir.dialects.sparsert import LoadColumnsOp, StoreColumnsOp
from sparsert_ir.epilogue import convert, splat

_BLOCK, _LONG = 256, 1024
"""Columns that one turn of a loop copies, and those of a row from which on there is a loop."""
_LONGEST_STEP = 16
"""Columns of the image per column of the copy up to which whole vectors are loaded."""


@dataclass(frozen=True)
class Columns:
    """`size` neighbours of a row of the copy from column `start` on: columns `source`,
    `source + step`, ... of the image.
    """

    start: int
    size: int
    source: int
    step: int

    @property
    def span(self) -> int:
        """Columns of the image from the first to the last, and up to the next one."""
        return self.size * self.step

    def blocks(self, image_width: int) -> int:
        """How many blocks to copy in a loop: all of a long row whose spans lie in the image."""
        if self.size <= _LONG:
            return 0
        return min(self.size // _BLOCK, (image_width - self.source) // (_BLOCK * self.step))

    def after_blocks(self, image_width: int) -> "Columns":
        """The columns that the loop leaves."""
        done = self.blocks(image_width) * _BLOCK
        source = self.source + done * self.step
        return Columns(self.start + done, self.size - done, source, self.step)

    def parts(self, image_width: int) -> "Iterator[Columns]":
        """Powers of two each of whose spans lies inside the image, somewhere."""
        for start, size in pieces(self.size):
            part = Columns(self.start + start, size, self.source + start * self.step, self.step)
            if part.span <= image_width or size == 1:
                yield part
                continue
            half = size // 2
            for first in (0, half):
                source = part.source + first * self.step
                yield from Columns(part.start + first, half, source, self.step).parts(image_width)


@dataclass(frozen=True)
class TileCopy:
    """Makes `@name(x, copy, image, line, first)`: the copy for the tile whose first line is `line`,
    of `channels` channels from `first` on.

    kind: element type of the copy, which x is converted to.
    """

    name: str
    tiles: ImageTiles
    channels: int
    element_type: AnyFloat
    kind: AnyFloat

    @property
    def copy_type(self) -> MemRefType[Attribute]:
        """An array of one dimension."""
        copy = self.tiles.copy
        return array_type([self.channels * copy.planes * copy.plane], self.kind)

    def function(self) -> func.FuncOp:
        x_type = array_type(self.tiles.window.array_shape, self.element_type)
        types = [x_type, self.copy_type, *[IndexType()] * 3]
        block = Block(arg_types=types)
        code = Code(block)
        x, target, image, line, first_channel = block.args
        copy = self.tiles.copy

        def one_channel(inner: Code, number: SSAValue) -> None:
            first = inner.multiply(number, inner.index(copy.planes * copy.plane))
            channel = inner.add(first_channel, number)
            for plane, (down, right) in enumerate(self._phases()):
                begin = inner.add(first, inner.index(plane * copy.plane))
                place = _Plane(self, x, target, image, channel, line, begin, down, right)
                place.write(inner)

        code.loop(code.index(0), code.index(self.channels), code.index(1), one_channel)
        code.do(func.ReturnOp())
        return func.FuncOp(self.name, (types, []), Region(block), visibility="private")

    def _phases(self) -> list[tuple[int, int]]:
        copy = self.tiles.copy
        return [(int(down), int(right)) for down in copy.down.phases for right in copy.right.phases]


@dataclass(frozen=True)
class _Plane:
    """One phase, `down` and `right`, of one channel, which begins at `begin` in the copy."""

    copy: TileCopy
    x: SSAValue
    target: SSAValue
    image: SSAValue
    channel: SSAValue
    line: SSAValue
    begin: SSAValue
    down: int
    right: int

    def write(self, code: Code) -> None:
        window, copy = self.copy.tiles.window, self.copy.tiles.copy
        first = code.multiply(self.line, code.index(window.strides[0]))
        shift = self.down - window.padding[0]
        last_row = code.index(window.image[0] - 1)

        def one_row(inner: Code, row: SSAValue) -> None:
            target = inner.add(self.begin, inner.multiply(row, inner.index(copy.pitch)))
            scaled = inner.multiply(row, inner.index(window.strides[0]))
            source = _moved(inner, inner.add(first, scaled), shift)
            # Above the image the row is a large unsigned number.
            outside = inner.compare(last_row, "ult", source)
            inside = inner.compare(source, "ult", inner.index(window.image[0]))
            inner.when(outside, lambda here: self._clear(here, target, 0, copy.pitch))
            inner.when(inside, lambda here: self._copy_row(here, target, source))

        code.loop(code.index(0), code.index(copy.down.size), code.index(1), one_row)

    def _copy_row(self, code: Code, target: SSAValue, source: SSAValue) -> None:
        window, pitch = self.copy.tiles.window, self.copy.tiles.copy.pitch
        begin, end = copied_columns(window, self.right, pitch)
        self._clear(code, target, 0, begin)
        first = begin * window.strides[1] + self.right - window.padding[1]
        columns = Columns(begin, end - begin, first, window.strides[1])
        if columns.size and window.layout == "nchw" and columns.step <= _LONGEST_STEP:
            self._copy_blocks(code, target, source, columns)
            for part in columns.after_blocks(window.image[1]).parts(window.image[1]):
                self._copy_lane(code, target, source, part)
        elif columns.size:
            self._copy_numbers(code, target, source, columns)
        self._clear(code, target, end, pitch)

    def _copy_blocks(self, code: Code, target: SSAValue, source: SSAValue, row: Columns) -> None:
        """A long row is copied by a loop, so that the code does not grow with it."""
        block = Columns(0, _BLOCK, 0, row.step)

        def one_block(inner: Code, number: SSAValue) -> None:
            first = _moved(inner, inner.multiply(number, inner.index(block.span)), row.source)
            place = [self.image, self.channel, source, first]
            lane = _lane(self.copy.element_type, block.span)
            loaded = inner.insert(LoadColumnsOp(self.x, place, lane))
            if row.step > 1:
                loaded = inner.shuffle(loaded, [i * row.step for i in range(_BLOCK)])
            start = inner.add(target, inner.multiply(number, inner.index(_BLOCK)))
            self._store(inner, convert(inner, loaded, self.copy.kind), start, row.start)

        count = row.blocks(self.copy.tiles.window.image[1])
        if count:
            code.loop(code.index(0), code.index(count), code.index(1), one_block)

    def _clear(self, code: Code, target: SSAValue, begin: int, end: int) -> None:
        kind = self.copy.kind
        count = max(0, end - begin) // _BLOCK if end - begin > _LONG else 0

        def one_block(inner: Code, number: SSAValue) -> None:
            zeros = splat(inner, inner.number(0.0, kind), _lane(kind, _BLOCK))
            start = inner.add(target, inner.multiply(number, inner.index(_BLOCK)))
            self._store(inner, zeros, start, begin)

        if count:
            code.loop(code.index(0), code.index(count), code.index(1), one_block)
        first = begin + count * _BLOCK
        for start, size in pieces(end - first) if end > first else []:
            zeros = splat(code, code.number(0.0, kind), _lane(kind, size))
            self._store(code, zeros, target, first + start)

    def _copy_lane(self, code: Code, target: SSAValue, source: SSAValue, part: Columns) -> None:
        """One load of neighbours, of which every `step`-th is kept."""
        width = self.copy.tiles.window.image[1]
        begin = max(0, min(part.source, width - part.span))
        span = 1 if part.size == 1 else part.span
        begin = part.source if part.size == 1 else begin
        place = [self.image, self.channel, source, code.index(begin)]
        loaded = code.insert(LoadColumnsOp(self.x, place, _lane(self.copy.element_type, span)))
        if part.size != span:
            skipped = part.source - begin
            loaded = code.shuffle(loaded, [skipped + i * part.step for i in range(part.size)])
        self._store(code, convert(code, loaded, self.copy.kind), target, part.start)

    def _copy_numbers(
        self, code: Code, target: SSAValue, source: SSAValue, columns: Columns
    ) -> None:
        """One number at a time: what becomes neighbours lies far apart, in NHWC a pixel's channels
        at least.
        """
        begin = code.index(columns.start)
        nchw = self.copy.tiles.window.layout == "nchw"

        def one_column(inner: Code, column: SSAValue) -> None:
            x = _moved(
                inner,
                inner.multiply(column, inner.index(columns.step)),
                columns.source - columns.start * columns.step,
            )
            place = [self.image, source, x, self.channel]
            if nchw:
                place = [self.image, self.channel, source, x]
            number = inner.load(self.x, *place)
            converted = convert(inner, number, self.copy.kind)
            inner.do(StoreColumnsOp(converted, self.target, [inner.add(target, column)]))

        code.loop(begin, code.index(columns.start + columns.size), code.index(1), one_column)

    def _store(self, code: Code, value: SSAValue, target: SSAValue, column: int) -> None:
        place = code.add(target, code.index(column)) if column else target
        code.do(StoreColumnsOp(value, self.target, [place]))


def _lane(kind: AnyFloat, size: int) -> Attribute:
    return kind if size == 1 else VectorType(kind, [size])


def _moved(code: Code, number: SSAValue, distance: int) -> SSAValue:
    if distance >= 0:
        return code.add(number, code.index(distance)) if distance else number
    return code.insert(arith.SubiOp(number, code.index(-distance)))
