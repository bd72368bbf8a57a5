"""Warps that multiply the nonzeros of a stream on tensor cores (`instruction = mma`).

The lanes of a warp are eight lines of four, each with nonzeros of one row, 16 at a time. A matrix
instruction serves two lines: the rows of `a` are 8 columns of x at the 16 nonzeros of one line, and
the same at those of the other, gathered from shared memory; the columns of `b` are the nonzeros of
all lines. Of their product two columns of eight sums are wanted, those in which x and nonzeros are
of one line; the others are never read. Even so a warp needs a quarter of the instructions that
lanes need on their own, because no element of x becomes an f32.
"""

from dataclasses import dataclass

from xdsl.dialects import arith, vector
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from sparsert_ir.building import Code, Values
from sparsert_ir.dialects import gpu, nvgpu
from sparsert_ir.dialects.fragments import B_ELEMENTS, SUMS_TYPE
from sparsert_ir.epilogue import splat
from sparsert_ir.gpu.stream_arrays import StreamArrays
from sparsert_ir.gpu.stream_lanes import Finish, index_of, load_chunk
from sparsert_ir.gpu_facts import MMA_TILE
from sparsert_ir.layout.packing import MMA_LINES

_IN_LINE = 4
"""Lanes of a line; lane 4g + t is number t of line g."""
_PAIRS = MMA_LINES // 2
"""Of lines that an instruction serves."""
_SUM_OF_EVEN, _SUM_OF_ODD = 0, 3
"""Of the four sums that lane 4g + t has of the pair of lines 2t and 2t + 1, those that are wanted:
of column g."""


@dataclass(frozen=True)
class MmaLanes:
    """lane: of the warp. line, in_line: its line, and its number there."""

    arrays: StreamArrays
    lane: SSAValue
    line: SSAValue
    in_line: SSAValue

    @classmethod
    def of(cls, arrays: StreamArrays, code: Code) -> "MmaLanes":
        """Writes to `code` where a lane is."""
        lane = arrays.lane(code)
        return cls(arrays, lane, *code.divide(lane, _IN_LINE))

    @property
    def _tiles(self) -> int:
        """Of 8 columns, which the block computes side by side."""
        return self.arrays.product.schedule.column_groups

    @property
    def _lines_per_row(self) -> tuple[int, ...]:
        """For each height of panels."""
        return tuple(MMA_LINES // rows for rows in self.arrays.layout.panel_rows)

    def zero(self, code: Code) -> Values:
        return [splat(code, code.number(0.0, f32), SUMS_TYPE)] * (self._tiles * _PAIRS)

    def load_chunk(self, code: Code, step: SSAValue) -> Values:
        return load_chunk(code, self.arrays, step, self.lane)

    def add_chunk(self, code: Code, chunk: Values, sums: Values) -> Values:
        """The sums of the first tile's pairs of lines come first."""
        values, indices = chunk
        added = list(sums)
        groups = self.arrays.layout.chunk // B_ELEMENTS
        for group in range(groups):
            first = group * B_ELEMENTS
            b = values
            if groups > 1:
                b = code.shuffle(values, range(first, first + B_ELEMENTS))
            rows = [index_of(code, indices, first + pair) for pair in range(_PAIRS)]
            # All loads before the first use of one: ptxas keeps the order, and a load takes as long
            # as ten instructions.
            loaded = [self._gather(code, row, tile) for tile in range(self._tiles) for row in rows]
            for place, a in enumerate(loaded):
                added[place] = code.insert(nvgpu.MmaSyncOp(a, b, added[place]))
        return added

    def _gather(self, code: Code, row: SSAValue, tile: int) -> SSAValue:
        """8 columns of the rows of x that the lanes of the warp name."""
        staged = self.arrays.staged
        here = code.add(row, code.index(tile * staged.rows)) if tile else row
        return code.insert(nvgpu.LdMatrixOp(staged.array, [here, code.index(0)]))

    def begin_panel(self, code: Code, panel: SSAValue) -> Finish:
        lines = self._lines_per_row
        per_row = self.arrays.of_panel(code, panel, lines)
        shift = self.arrays.of_panel(code, panel, [number.bit_length() - 1 for number in lines])
        even = code.multiply(self.in_line, code.index(2))
        rows = [
            self.arrays.row(code, panel, code.insert(arith.ShRUIOp(line, shift)))
            for line in (even, code.add(even, code.index(1)))
        ]

        def finish(last: Code, sums: Values) -> None:
            for tile in range(self._tiles):
                first = tile * _PAIRS
                column = last.add(last.index(tile * MMA_TILE), self.line)
                self._write(last, column, sums[first : first + _PAIRS], rows, per_row)

        return finish

    def _write(
        self, code: Code, column: SSAValue, sums: Values, rows: list[SSAValue], per_row: SSAValue
    ) -> None:
        """Add up the lines of each row, neighbours first; the lane of the first of them writes.

        column: of the lane, counted from the tile's first. rows: of the lane's two lines.
        """
        zero, one = code.insert(arith.ConstantOp.from_int_and_width(0, 32)), code.index(1)
        odd = self._own_sum(code, sums, _SUM_OF_ODD)
        total = self._add_lines(code, self._own_sum(code, sums, _SUM_OF_EVEN), odd, per_row)
        line = code.multiply(self.in_line, code.index(2))
        in_row = code.both(line, code.insert(arith.SubiOp(per_row, one)))
        first_of_row = code.compare(in_row, "eq", code.index(0))
        present = code.both(code.compare(rows[0], "sge", zero), first_of_row)
        self._store(code, present, rows[0], column, total)
        if min(self._lines_per_row) == 1:
            alone = code.compare(per_row, "eq", one)
            present = code.both(code.compare(rows[1], "sge", zero), alone)
            self._store(code, present, rows[1], column, odd)

    def _own_sum(self, code: Code, sums: Values, place: int) -> SSAValue:
        """Of the lane's pair of lines."""
        first, *others = [code.insert(vector.ExtractOp(total, [place], f32)) for total in sums]
        chosen = first
        for pair, other in enumerate(others, start=1):
            mine = code.compare(self.in_line, "eq", code.index(pair))
            chosen = code.select(mine, other, chosen)
        return chosen

    def _add_lines(self, code: Code, even: SSAValue, odd: SSAValue, per_row: SSAValue) -> SSAValue:
        """The sum of a row's lines, in the lane of its first one."""
        fewest, most = min(self._lines_per_row), max(self._lines_per_row)
        total, lines = even, 1
        while lines < most:
            other = odd if lines == 1 else code.insert(gpu.ShuffleOp("xor", total, lines // 2))
            added = code.insert(arith.AddfOp(total, other))
            if lines >= fewest:
                same_row = code.compare(code.index(lines), "ult", per_row)
                added = code.select(same_row, added, total)
            total, lines = added, 2 * lines
        return total

    def _store(
        self, code: Code, present: SSAValue, row: SSAValue, within: SSAValue, total: SSAValue
    ) -> None:
        column = code.add(self.arrays.first_column(code), within)
        exists = code.compare(column, "ult", code.index(self.arrays.product.columns))
        code.when(
            code.both(present, exists),
            lambda last: self.arrays.writer().write(last, total, last.as_index(row), column),
        )
