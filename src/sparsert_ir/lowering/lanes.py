"""Where the columns of a lane lie in memory: the only place that computes addresses of lanes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from xdsl.dialects import llvm
from xdsl.dialects.builtin import IntegerType, MemRefType
from xdsl.dialects.llvm import ICmpPredicateFlag as Predicate
from xdsl.ir import SSAValue

from sparsert_ir.dialects.sparsert import WindowAttr
from sparsert_ir.errors import IRError
from sparsert_ir.lowering.control_flow import compare
from sparsert_ir.lowering.function import FunctionLowering
from sparsert_ir.window import Window

LIMIT = 2**31 - 1
"""Most elements of an array: offsets are 32-bit numbers."""


@dataclass(frozen=True)
class Lane:
    """The columns of a lane in row 0 of an array.

    pointers: one to adjacent columns that one access reads or writes, or one for each column; a
              column past the end repeats the one before it.
    second:   whether the second column of a pair exists; None where every column does.
    """

    pointers: Sequence[SSAValue]
    second: SSAValue | None


def check_size(kind: MemRefType[Any]) -> None:
    total = 1
    for size in kind.get_shape():
        total *= size
    if total > LIMIT:
        raise IRError(f"sparsert-convert-to-llvm: expected at most {LIMIT} elements in {kind}")


def matrix_lane(
    lowering: FunctionLowering,
    base: SSAValue,
    kind: MemRefType[Any],
    column: SSAValue,
    width: int,
    columns_are_whole: bool,
) -> Lane:
    """The lane at `column`, whose first element is at `base`, of a row-major array."""
    if width == 1 or columns_are_whole:
        return Lane([base], None)
    _check_pair(kind, width)
    _, inside = second_column(lowering, kind.get_shape()[-1], column)
    step = lowering.insert(llvm.ZExtOp(inside, IntegerType(lowering.target.index_bits)))
    return Lane([base, lowering.element_pointer(base, step, kind.element_type)], inside)


def _check_pair(kind: MemRefType[Any] | Window, width: int) -> None:
    """Only a pair can be taken apart where its second column may lie past the end."""
    if width != 2:
        raise IRError(
            f"sparsert-convert-to-llvm: expected lanes of {width} columns to divide the last"
            f" dimension, got {kind}"
        )


def second_column(
    lowering: FunctionLowering, columns: int, column: SSAValue
) -> tuple[SSAValue, SSAValue]:
    """For a pair at `column`: the column of its second element, and whether that is inside."""
    after = lowering.insert(llvm.AddOp(column, lowering.integer(1)))
    return after, compare(lowering, after, lowering.integer(columns), Predicate.ULT)


def lanes_are_whole(lowering: FunctionLowering, columns: int, width: int) -> bool:
    """Whether a lane that starts inside a row of so many adjacent columns never reaches past its
    end, nor lies unaligned.

    On a host, lanes may start anywhere and end inside (`first_column` sees to it).
    """
    if lowering.target.is_gpu:
        return columns % width == 0
    return columns >= width


@dataclass(frozen=True)
class Pixel:
    """An output pixel, as LLVM integers; the coordinate of a dimension of size 1 is a constant."""

    image: SSAValue
    row: SSAValue
    column: SSAValue


class WindowLanes:
    """The columns of one lane of a window: their pixels, addresses and guards.

    Pixels are computed here, addresses by `prepare`, once before a switch for all of its cases (see
    `FunctionLowering.sharing`).
    """

    def __init__(self, lowering: FunctionLowering, column: SSAValue, width: int, window: Window):
        self.window = window
        self.width = width
        self._lowering = lowering
        self.second: SSAValue | None = None
        columns = [column]
        if width > 1 and window.columns % width and lowering.target.is_gpu:
            _check_pair(window, width)
            after, self.second = second_column(lowering, window.columns, column)
            columns.append(lowering.insert(llvm.SelectOp(self.second, after, column)))
        else:
            columns += [
                lowering.insert(llvm.AddOp(column, lowering.integer(c))) for c in range(1, width)
            ]
        self.columns = columns
        # A window of one pixel has one column, too, but taps that may lie outside.
        self._straight = window.is_pointwise and window.adjacent_columns == window.columns
        self._pixels = [] if self._straight else [self._pixel(column) for column in columns]
        self._lanes: dict[SSAValue, Lane] = {}

    def prepare(self, base: SSAValue, kind: MemRefType[Any]) -> None:
        """Compute the addresses of an array's row 0 here, for every later `lane`."""
        self._lanes[base] = self.lane(base, kind)

    def lane(self, base: SSAValue, kind: MemRefType[Any]) -> Lane:
        """The lane in row 0 of the array at `base`."""
        if base in self._lanes:
            return self._lanes[base]
        check_size(kind)
        whole = lanes_are_whole(self._lowering, self.window.adjacent_columns, self.width)
        count = 1 if self.width == 1 or whole else self.width
        offsets = [self._offset(place) for place in range(count)]
        pointers = [
            self._lowering.element_pointer(base, offset, kind.element_type) for offset in offsets
        ]
        return Lane(pointers, None if count == 1 else self.second)

    def guards(self, ty: int, tx: int) -> list[SSAValue]:
        """For each column whether that filter position lies inside; empty where it always does."""
        down, right = self.window.valid_range(0)[ty], self.window.valid_range(1)[tx]
        guards: list[SSAValue] = []
        for pixel in self._pixels:
            parts = [
                *self._between(pixel.row, down, self.window.output[0]),
                *self._between(pixel.column, right, self.window.output[1]),
            ]
            if parts:
                guards.append(self._all(parts))
        return guards

    def _pixel(self, column: SSAValue) -> Pixel:
        height, width = self.window.output
        image, rest = self._split(column, self.window.batch, height * width)
        row, place = self._split(rest, height, width)
        return Pixel(image, row, place)

    def _split(self, number: SSAValue, count: int, size: int) -> tuple[SSAValue, SSAValue]:
        """Quotient, below `count`, and remainder of a division by `size`."""
        insert, integer = self._lowering.insert, self._lowering.integer
        if count == 1:
            return integer(0), number
        if size == 1:
            return number, integer(0)
        quotient = insert(llvm.UDivOp(number, integer(size)))
        whole = insert(llvm.MulOp(quotient, integer(size)))
        return quotient, insert(llvm.SubOp(number, whole))

    def _offset(self, place: int) -> SSAValue:
        """Where a column of the lane lies in row 0, in elements."""
        window = self.window
        if self._straight:
            return self.columns[place]
        pixel = self._pixels[place]
        by_image, _, by_row, by_column = window.element_strides
        (sy, sx), (height, width) = window.strides, window.output
        steps = [
            (pixel.image, by_image, window.batch),
            (pixel.row, sy * by_row, height),
            (pixel.column, sx * by_column, width),
        ]
        insert, integer = self._lowering.insert, self._lowering.integer
        total: SSAValue | None = None
        for number, distance, count in steps:
            if count > 1:
                scaled = insert(llvm.MulOp(number, integer(distance)))
                total = scaled if total is None else insert(llvm.AddOp(total, scaled))
        return integer(0) if total is None else total

    def _between(self, number: SSAValue, bounds: Sequence[int], size: int) -> list[SSAValue]:
        """The comparisons that find out whether begin <= number < end, for 0 <= number < size."""
        begin, end = (int(bound) for bound in bounds)
        parts: list[SSAValue] = []
        if begin > 0:
            limit = self._lowering.integer(begin)
            parts.append(compare(self._lowering, number, limit, Predicate.UGE))
        if end < size:
            limit = self._lowering.integer(end)
            parts.append(compare(self._lowering, number, limit, Predicate.ULT))
        return parts

    def _all(self, parts: Sequence[SSAValue]) -> SSAValue:
        total = parts[0]
        for part in parts[1:]:
            total = self._lowering.insert(llvm.AndOp(total, part))
        return total


def window_lanes(
    lowering: FunctionLowering, column: SSAValue, width: int, window: WindowAttr
) -> WindowLanes:
    """The lane of `window` at `column` (of the new function)."""
    shared = lowering.shared.get((column, width, window))
    if isinstance(shared, WindowLanes):
        return shared
    return WindowLanes(lowering, column, width, window.data)


def share_window(
    lowering: FunctionLowering,
    column: SSAValue,
    width: int,
    window: WindowAttr | None,
    buffers: Sequence[SSAValue],
) -> None:
    """Compute pixels and addresses of a lane here for what is lowered while it is shared.

    `column` and `buffers` are of the old function; without a window there is nothing to do.
    """
    if window is None:
        return
    lanes = window_lanes(lowering, lowering.value(column), width, window)
    lowering.shared[lowering.value(column), width, window] = lanes
    for buffer in buffers:
        lanes.prepare(lowering.value(buffer), cast(MemRefType[Any], buffer.type))
