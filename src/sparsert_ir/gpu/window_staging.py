"""Gathering the columns of a window, a convolution's virtual matrix, in shared memory."""

from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat
from xdsl.ir import SSAValue

from sparsert_ir.building import Code
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import LoadColumnsOp, StoreColumnsOp
from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu.staging import StagedSlice, even_batch, flattened, insert_below
from sparsert_ir.gpu.window_column import WindowColumn
from sparsert_ir.gpu.window_rounds import MOST_ON_THEIR_WAY, RoundsCopy, WindowRounds
from sparsert_ir.window import Window


@dataclass(frozen=True, kw_only=True)
class WindowCopy:
    """Copies `rows` rows of the window from row `first` on, `width` columns from a tile's first
    column on; 0 where an element lies outside its image or a column does not exist.

    Each thread stays in one column, whose pixel it finds once; `width` must divide `threads`. Where
    `WindowRounds` do not apply, it finds the place of each element anew.
    """

    element_type: AnyFloat
    threads: int
    window: Window
    width: int
    first: int
    rows: int

    def __post_init__(self) -> None:
        if self.threads % self.width:
            raise ScheduleError(
                "schedule: with lowering = data, a convolution needs threads that are a multiple"
                f" of columns_per_thread * column_groups, got {self.threads} and {self.width}"
            )

    def write(self, code: Code, x: SSAValue, staged: StagedSlice, column: SSAValue) -> None:
        """Emit the copy; `column` is the tile's first column. A barrier must follow."""
        images = flattened(code, x)
        thread = code.insert(gpu.ThreadIdOp("x"))
        width = code.index(self.width)
        within = code.insert(arith.RemUIOp(thread, width))
        row = code.insert(arith.DivUIOp(thread, width))
        place = WindowColumn.of(code, self.window, code.add(column, within))
        per_round = self.threads // self.width
        planned = WindowRounds(
            window=self.window, first=self.first, rows=self.rows, thread_rows=per_round
        )
        if planned.apply:
            copy = RoundsCopy.of(code, planned, self.element_type, images, place, row)
            copy.write(code, staged, staged.place(code, row, within))
            return
        rounds = -(-self.rows // per_round)
        count = even_batch(rounds, MOST_ON_THEIR_WAY)
        if rounds == count:
            self._batch(code, images, staged, place, within, row, count)
            return

        def one_batch(inner: Code, begin: SSAValue) -> None:
            self._batch(inner, images, staged, place, within, inner.add(begin, row), count)

        code.loop(code.index(0), code.index(self.rows), code.index(per_round * count), one_batch)

    def _batch(
        self,
        code: Code,
        images: SSAValue,
        staged: StagedSlice,
        place: WindowColumn,
        within: SSAValue,
        begin: SSAValue,
        count: int,
    ) -> None:
        """The rows `begin`, `begin + threads / width`, ...: all loads, then all stores."""
        per_round = self.threads // self.width
        numbers = [code.add(begin, code.index(i * per_round)) for i in range(count)]
        values = [self._load(code, images, place, number) for number in numbers]
        for number, value in zip(numbers, values, strict=True):
            place_in = staged.place(code, number, within)
            store = StoreColumnsOp(value, staged.array, place_in)
            insert_below(code, number, self.rows, store)

    def _load(
        self, code: Code, images: SSAValue, place: WindowColumn, number: SSAValue
    ) -> SSAValue:
        """An element: 0 outside the image, whose neighbours in memory are not its own."""
        window = self.window
        _, by_channel, by_row, by_column = window.element_strides
        row = code.minimum(number, code.index(self.rows - 1))
        rest, tx = code.divide(code.add(row, code.index(self.first)), window.kernel[1])
        ty, channel = code.divide(rest, window.channels)
        down = _shifted(code, place.down, ty, window.dilation[0], window.padding[0])
        right = _shifted(code, place.right, tx, window.dilation[1], window.padding[1])
        inside = code.both(
            code.compare(down, "ult", code.index(window.image[0])),
            code.compare(right, "ult", code.index(window.image[1])),
        )
        inside = code.both(inside, place.exists)
        step = code.add(
            code.multiply(channel, code.index(by_channel)),
            code.add(
                code.multiply(_minus(code, down, place.down), code.index(by_row)),
                code.multiply(_minus(code, right, place.right), code.index(by_column)),
            ),
        )
        where = code.select(inside, code.add(place.offset, step), code.index(0))
        value = code.insert(LoadColumnsOp(images, [where], self.element_type))
        return code.select(inside, value, code.number(0.0, self.element_type))


def _minus(code: Code, left: SSAValue, right: SSAValue) -> SSAValue:
    return code.insert(arith.SubiOp(left, right))


def _shifted(code: Code, start: SSAValue, tap: SSAValue, dilation: int, padding: int) -> SSAValue:
    """`start + tap * dilation - padding`; below 0 it is a large unsigned number."""
    moved = code.add(start, code.multiply(tap, code.index(dilation)))
    return _minus(code, moved, code.index(padding))
