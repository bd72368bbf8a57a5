"""Lanes that multiply the nonzeros of a stream, each its own columns of x (`instruction = fma`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast

from xdsl.dialects import arith, math, vector
from xdsl.dialects.builtin import AnyFloat, MemRefType, VectorType, f32, i16, i32
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.building import Code, Values
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import LoadColumnsOp, lane_element, lane_width
from sparsert_ir.epilogue import convert, splat, with_element
from sparsert_ir.gpu.stream_arrays import StreamArrays
from sparsert_ir.gpu.stream_choice import tile_columns
from sparsert_ir.schedule import Schedule

Finish: TypeAlias = Callable[[Code, Values], None]
"""Writes the rows of a panel, given the sums."""


class StreamLanes(Protocol):
    """How the lanes of a warp share the work of a panel: what they carry, step by step."""

    def zero(self, code: Code) -> Values:
        """The sums of a panel before its first step."""
        ...

    def begin_panel(self, code: Code, panel: SSAValue) -> Finish:
        """Loads what the end of the panel needs, to be there by then."""
        ...

    def load_chunk(self, code: Code, step: SSAValue) -> Values:
        """What the lane reads of a step: values, then indices."""
        ...

    def add_chunk(self, code: Code, chunk: Values, sums: Values) -> Values:
        """The sums with the products of a step."""
        ...


def load_chunk(code: Code, arrays: StreamArrays, step: SSAValue, reader: SSAValue) -> Values:
    """A reader's values and indices of a step."""
    row = code.add(code.multiply(step, code.index(arrays.layout.readers)), reader)
    chunk: list[SSAValue] = []
    for key in ("values", "indices"):
        table = arrays.tables[key]
        element = cast(MemRefType[Attribute], table.type).element_type
        kind = VectorType(element, [arrays.layout.chunk])
        chunk.append(code.insert(LoadColumnsOp(table, [row, code.index(0)], kind)))
    return chunk


def index_of(code: Code, indices: SSAValue, place: int) -> SSAValue:
    """One of a lane's 16-bit indices."""
    index = code.insert(vector.ExtractOp(indices, [place], i16))
    return code.as_index(code.insert(arith.ExtUIOp(index, i32)))


@dataclass(frozen=True)
class _Place:
    """A lane's place in a panel.

    number:  of its row in the matrix; -1 where the panel is not full.
    sharing: lanes that share the row.
    """

    number: SSAValue
    sharing: SSAValue
    first_of_row: SSAValue


@dataclass(frozen=True)
class FmaLanes:
    """A reader's lanes each multiply every nonzero of its chunks by their own columns of x.

    reader: of the warp. within: the lane's first column, counted from the tile's.
    """

    arrays: StreamArrays
    reader: SSAValue
    within: SSAValue

    @classmethod
    def of(cls, arrays: StreamArrays, code: Code) -> "FmaLanes":
        """Writes to `code` where a lane is."""
        reader, group = code.divide(arrays.lane(code), arrays.layout.column_groups)
        width = arrays.product.schedule.columns_per_thread
        return cls(arrays, reader, code.multiply(group, code.index(width)))

    @property
    def _schedule(self) -> Schedule:
        return self.arrays.product.schedule

    @property
    def _width(self) -> int:
        """Columns that a lane computes."""
        return self._schedule.columns_per_thread

    @property
    def _lane_type(self) -> Attribute:
        return f32 if self._width == 1 else VectorType(f32, [self._width])

    def zero(self, code: Code) -> Values:
        return [splat(code, code.number(0.0, f32), self._lane_type)]

    def begin_panel(self, code: Code, panel: SSAValue) -> Finish:
        place = self._place(code, panel)

        def finish(last: Code, sums: Values) -> None:
            self._write_rows(last, place, self._add_lanes(last, sums[0], place.sharing))

        return finish

    def _place(self, code: Code, panel: SSAValue) -> _Place:
        arrays, layout = self.arrays, self.arrays.layout
        per_row = arrays.of_panel(code, panel, layout.readers_per_row)
        shift = [number.bit_length() - 1 for number in layout.readers_per_row]
        within = code.insert(arith.ShRUIOp(self.reader, arrays.of_panel(code, panel, shift)))
        number = arrays.row(code, panel, within)
        in_row = code.both(self.reader, code.insert(arith.SubiOp(per_row, code.index(1))))
        return _Place(
            number=number,
            sharing=code.multiply(per_row, code.index(layout.column_groups)),
            first_of_row=code.compare(in_row, "eq", code.index(0)),
        )

    def load_chunk(self, code: Code, step: SSAValue) -> Values:
        return load_chunk(code, self.arrays, step, self.reader)

    def add_chunk(self, code: Code, chunk: Values, sums: Values) -> Values:
        values, total = convert(code, chunk[0], f32), sums[0]
        for place in range(self.arrays.layout.chunk):
            value = code.insert(vector.ExtractOp(values, [place], f32))
            total = self._multiply_add(code, index_of(code, chunk[1], place), value, total)
        return [total]

    def _multiply_add(
        self, code: Code, row: SSAValue, value: SSAValue, total: SSAValue
    ) -> SSAValue:
        lane, staged = self._lane_type, self.arrays.staged
        x_lane = with_element(lane, self.arrays.product.element_type)
        x = code.insert(LoadColumnsOp(staged.array, [row, self.within], x_lane))
        fma = vector.FMAOp if self._width > 1 else math.FmaOp
        return code.insert(fma(splat(code, value, lane), convert(code, x, f32), total))

    def _add_lanes(self, code: Code, total: SSAValue, sharing: SSAValue) -> SSAValue:
        """Add up the sums of a row's readers: neighbours first, then pairs of them.

        sharing: lanes that share the lane's row.
        """
        layout = self.arrays.layout
        fewest, most = min(layout.readers_per_row), max(layout.readers_per_row)
        readers = 1
        while readers < most:
            distance = layout.column_groups * readers
            parts = _elements(code, total)
            others = [code.insert(gpu.ShuffleOp("xor", part, distance)) for part in parts]
            added = code.insert(arith.AddfOp(total, _joined(code, others)))
            if readers < fewest:
                total = added
            else:
                same_row = code.compare(code.index(distance), "ult", sharing)
                total = code.select(same_row, added, total)
            readers *= 2
        return total

    def _write_rows(self, code: Code, place: _Place, total: SSAValue) -> None:
        """The first reader of each row applies the epilogue and stores."""
        product, writer = self.arrays.product, self.arrays.writer()
        zero = code.insert(arith.ConstantOp.from_int_and_width(0, 32))
        present = code.both(code.compare(place.number, "sge", zero), place.first_of_row)
        first = code.add(self.arrays.first_column(code), self.within)
        end = code.index(product.columns)
        result = product.result_window
        adjacent = product.columns if result is None else result.data.adjacent_columns
        whole = adjacent % self._width == 0
        if whole and product.columns % tile_columns(self._schedule):
            present = code.both(present, code.compare(first, "ult", end))

        def write(inner: Code) -> None:
            row = inner.as_index(place.number)
            if whole:
                writer.write(inner, total, row, first)
                return
            for number, part in enumerate(_elements(inner, total)):
                column = inner.add(first, inner.index(number))
                inner.when(
                    inner.compare(column, "ult", end),
                    lambda last, part=part, column=column: writer.write(last, part, row, column),
                )

        code.when(present, write)


def _elements(code: Code, lane: SSAValue) -> list[SSAValue]:
    """The columns of a lane as numbers."""
    width = lane_width(lane.type)
    if width == 1:
        return [lane]
    element = lane_element(lane.type)
    return [code.insert(vector.ExtractOp(lane, [place], element)) for place in range(width)]


def _joined(code: Code, numbers: Sequence[SSAValue]) -> SSAValue:
    """Numbers as the columns of a lane."""
    if len(numbers) == 1:
        return numbers[0]
    kind = VectorType(cast(AnyFloat, numbers[0].type), [len(numbers)])
    lane = splat(code, numbers[0], kind)
    for place, number in enumerate(numbers[1:], start=1):
        lane = code.insert(vector.InsertOp(number, lane, [place]))
    return lane
