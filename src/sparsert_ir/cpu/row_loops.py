"""Loops over the packed nonzeros of one row on a CPU."""

from typing import Any, cast

from xdsl.dialects import arith, math, vector
from xdsl.dialects.builtin import MemRefType, VectorType, i64
from xdsl.ir import SSAValue

from sparsert_ir.building import Code, Values
from sparsert_ir.cpu.column_tiles import GRAIN, Piece, pieces
from sparsert_ir.cpu.row_packing import GROUP
from sparsert_ir.dialects.sparsert import (
    LoadColumnsOp,
    PanelProductOp,
    lane_element,
    lane_width,
)
from sparsert_ir.epilogue import convert, element_of, splat, with_element


class RowLoops:
    """Writes the loops over one row's nonzeros.

    tables: the arrays of `row_packing.PackedMatrix`, by name; their columns are rows of x, or its
            elements where it has one dimension.
    chains: sums that share the nonzeros of a row, as far as they are read in groups.
    """

    def __init__(self, product: PanelProductOp, tables: dict[str, SSAValue], chains: int):
        lane = product.sums[0].type
        self._product = product
        self._tables = tables
        self._element = lane_element(lane)
        self.pieces: list[Piece] = pieces(lane_width(lane))
        self._grouped = "words" in tables
        self._chains = chains if self._grouped else 1

    def totals(self, code: Code, place: SSAValue) -> Values:
        """The sums of the row at `place`, one for each piece.

        Nonzero c of a group goes to chain c modulo their number, single ones to the first chain;
        in the end the chains are added in order.
        """
        one, after = code.index(1), code.add(place, code.index(1))
        zeros = [self._splat(code, code.number(0.0, self._element), n) for _, n in self.pieces]
        sums: Values = zeros
        if self._grouped:
            begin, end = (self._offset(code, at, 0) for at in (place, after))
            sums = code.sum_loop(begin, end, one, zeros * self._chains, self._add_group)
        first, *others = [
            sums[start : start + len(zeros)] for start in range(0, len(sums), len(zeros))
        ]
        begin, end = (self._offset(code, at, 1) for at in (place, after))
        totals = code.sum_loop(begin, end, one, first, self._add_single)
        for other in others:
            pairs = zip(totals, other, strict=True)
            totals = [code.insert(arith.AddfOp(total, more)) for total, more in pairs]
        return totals

    def _offset(self, code: Code, place: SSAValue, kind: int) -> SSAValue:
        return code.as_index(code.load(self._tables["offsets"], place, code.index(kind)))

    def _add_group(self, code: Code, group: SSAValue, carried: Values) -> Values:
        sums, count = list(carried), len(self.pieces)
        columns = self._columns(code, group)
        values = self._group_values(code, group)
        for number, row_of_x in enumerate(columns):
            first = number % self._chains * count
            wide = [self._spread(code, values, number, width) for _, width in self.pieces]
            own = sums[first : first + count]
            sums[first : first + count] = self._multiply_add(code, wide, row_of_x, own)
        return sums

    def _columns(self, code: Code, group: SSAValue) -> list[SSAValue]:
        """The matrix columns of a group, out of its words."""
        words = self._tables["words"]
        count = cast(MemRefType[Any], words.type).get_shape()[1]
        per_word = GROUP // count
        loaded = [code.load(words, group, code.index(number)) for number in range(count)]
        bits = 64 // per_word
        mask = code.insert(arith.ConstantOp.from_int_and_width((1 << bits) - 1, i64))
        columns: list[SSAValue] = []
        for number in range(GROUP):
            word, place = loaded[number // per_word], number % per_word
            if place:
                shift = code.insert(arith.ConstantOp.from_int_and_width(place * bits, i64))
                word = code.insert(arith.ShRUIOp(word, shift))
            columns.append(code.as_index(code.both(word, mask)))
        return columns

    def _group_values(self, code: Code, group: SSAValue) -> SSAValue:
        """The values of a group, over and over in a vector of `GRAIN` numbers."""
        lane = VectorType(self._element, [GROUP])
        place = [group, code.index(0)]
        values = code.insert(LoadColumnsOp(self._tables["group_values"], place, lane))
        return code.shuffle(values, [number % GROUP for number in range(GRAIN)])

    def _spread(self, code: Code, values: SSAValue, number: int, width: int) -> SSAValue:
        """Value `number` of the group in every column of a piece.

        The mask stays within a quarter of a register, which takes one instruction.
        """
        if width == 1:
            return code.insert(vector.ExtractOp(values, [number], self._element))
        quarter = [column % GRAIN // GROUP * GROUP for column in range(width)]
        return code.shuffle(values, [start + number for start in quarter])

    def _add_single(self, code: Code, i: SSAValue, carried: Values) -> Values:
        row_of_x = code.as_index(code.load(self._tables["columns"], i))
        value = code.load(self._tables["values"], i)
        wide = [self._splat(code, value, width) for _, width in self.pieces]
        return self._multiply_add(code, wide, row_of_x, carried)

    def _multiply_add(
        self, code: Code, values: Values, row_of_x: SSAValue, totals: Values
    ) -> list[SSAValue]:
        """totals + values * (a row of x), piece by piece."""
        x, column = self._product.x, self._product.column
        in_rows = self._product.positions is None
        sums: list[SSAValue] = []
        for (start, width), value, total in zip(self.pieces, values, totals, strict=True):
            place = code.add(column, code.index(start)) if start else column
            indices = [row_of_x, place] if in_rows else [code.add(row_of_x, place)]
            lane = with_element(total.type, element_of(x))
            loaded = code.insert(LoadColumnsOp(x, indices, lane))
            fma = math.FmaOp if width == 1 else vector.FMAOp
            sums.append(code.insert(fma(value, convert(code, loaded, self._element), total)))
        return sums

    def _splat(self, code: Code, number: SSAValue, width: int) -> SSAValue:
        lane = self._element if width == 1 else VectorType(self._element, [width])
        return splat(code, number, lane)
