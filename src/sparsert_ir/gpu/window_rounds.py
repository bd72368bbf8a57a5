"""Gathering a window in rounds whose index arithmetic is done when the kernel is compiled."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat
from xdsl.ir import SSAValue

from sparsert_ir.building import Code
from sparsert_ir.dialects.sparsert import LoadColumnsOp, StoreColumnsOp
from sparsert_ir.gpu.staging import StagedSlice, even_batch, insert_below
from sparsert_ir.gpu.window_column import WindowColumn
from sparsert_ir.window import Window

MOST_ON_THEIR_WAY = 16
"""Loads of a thread before it stores the first."""
_MOST_ROUNDS = 256
"""A round is 3 to 10 instructions of code, so this bounds the code; a loop would need some 25 for
each element. This many gather 128 KB of f16 with 256 threads.
"""


@dataclass(frozen=True, kw_only=True)
class WindowRounds:
    """`rows` rows of a window, from row `first` on, dealt to rounds.

    A run is the rows of one channel and one filter row, one for each filter column tx; the runs are
    numbered (ty, channel), as the rows are. A round takes as many rows as whole runs have, so that
    a thread meets the same tx in each of them, and a channel that is further by a constant.

    thread_rows: how many rows the threads can copy at a time.
    """

    window: Window
    first: int
    rows: int
    thread_rows: int

    @property
    def apply(self) -> bool:
        """Whether a round has room for a run, none has channels of more than two filter rows, and
        there are not too many.
        """
        if self.per_round == 0 or self.count > _MOST_ROUNDS:
            return False
        return all(len(self.filter_rows(i)) <= 2 for i in range(self.count))

    @property
    def per_round(self) -> int:
        """Rows of a round."""
        width = self.window.kernel[1]
        return self.thread_rows // width * width

    @property
    def count(self) -> int:
        return -(-self.rows // self.per_round)

    @property
    def into_run(self) -> int:
        """How many rows of the first row's run lie before it."""
        return self.first % self.window.kernel[1]

    def lowest_run(self, i: int) -> int:
        """The first run of round `i`."""
        return (self.first + i * self.per_round) // self.window.kernel[1]

    def filter_rows(self, i: int) -> range:
        """The filter rows ty that round `i` has channels of."""
        last = self.first + min((i + 1) * self.per_round, self.rows) - 1
        begin = self.lowest_run(i) // self.window.channels
        return range(begin, last // self.window.kernel[1] // self.window.channels + 1)

    def left(self, i: int) -> int:
        """How many rows are left for round `i`."""
        return min(self.rows - i * self.per_round, self.per_round)

    def channel_distance(self, i: int, ty: int) -> int:
        """From channel `run` to the thread's channel in round `i`, in elements, where its run there
        is of filter row `ty`.
        """
        _, by_channel, _, _ = self.window.element_strides
        return (self.lowest_run(i) - ty * self.window.channels) * by_channel

    def row_distance(self, ty: int) -> int:
        """From an output pixel's row to the one that row `ty` of the filter meets, in elements."""
        return self.down(ty) * self.window.element_strides[2]

    def down(self, ty: int) -> int:
        """The same in rows."""
        return ty * self.window.dilation[0] - self.window.padding[0]


@dataclass(kw_only=True)
class RoundsCopy:
    """Writes the rounds of one thread, which stays in one column of the window and one filter
    column.

    row:    which row of a round the thread copies; those past `per_round` load and do not store.
    run:    that row's run, counted from the round's first one.
    origin: where channel `run` of the pixel lies that tx moves the output pixel to, in its row.
    inside: whether that pixel lies between the left and the right of the image.
    """

    rounds: WindowRounds
    element_type: AnyFloat
    images: SSAValue
    column: WindowColumn
    row: SSAValue
    run: SSAValue
    origin: SSAValue
    inside: SSAValue
    _filter_rows: dict[int, tuple[SSAValue, SSAValue]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        code: Code,
        rounds: WindowRounds,
        element_type: AnyFloat,
        images: SSAValue,
        column: WindowColumn,
        row: SSAValue,
    ) -> "RoundsCopy":
        """Emit what all rounds have in common."""
        window = rounds.window
        _, by_channel, _, by_column = window.element_strides
        mine = code.minimum(row, code.index(rounds.per_round - 1))
        run, tx = code.divide(code.add(mine, code.index(rounds.into_run)), window.kernel[1])
        tap = code.multiply(tx, code.index(window.dilation[1]))
        right = _moved(code, code.add(column.right, tap), -window.padding[1])
        across = _moved(code, tap, -window.padding[1])
        origin = code.add(
            code.add(column.offset, code.multiply(across, code.index(by_column))),
            code.multiply(run, code.index(by_channel)),
        )
        inside = code.compare(right, "ult", code.index(window.image[1]))
        return cls(
            rounds=rounds,
            element_type=element_type,
            images=images,
            column=column,
            row=row,
            run=run,
            origin=origin,
            inside=code.both(inside, column.exists),
        )

    def write(self, code: Code, staged: StagedSlice, start: Sequence[SSAValue]) -> None:
        """Emit all rounds; start: the place in shared memory that round 0 stores to."""
        count = self.rounds.count
        size = even_batch(count, MOST_ON_THEIR_WAY)
        for begin in range(0, count, size):
            self._batch(code, range(begin, min(begin + size, count)), staged, start)

    def _batch(
        self, code: Code, numbers: range, staged: StagedSlice, start: Sequence[SSAValue]
    ) -> None:
        """The rounds `numbers`: all loads, then all stores."""
        rounds = self.rounds
        values = [(i, self._load(code, i)) for i in numbers]
        whole = [(i, value) for i, value in values if rounds.left(i) == rounds.per_round]

        def store_whole(inner: Code) -> None:
            for i, value in whole:
                inner.do(self._store(inner, i, value, staged, start))

        if rounds.thread_rows == rounds.per_round:
            store_whole(code)
        elif whole:
            below = code.compare(self.row, "ult", code.index(rounds.per_round))
            code.when(below, store_whole)
        for i, value in values[len(whole) :]:
            store = self._store(code, i, value, staged, start)
            insert_below(code, self.row, rounds.left(i), store)

    def _store(
        self,
        code: Code,
        i: int,
        value: SSAValue,
        staged: StagedSlice,
        start: Sequence[SSAValue],
    ) -> StoreColumnsOp:
        row = code.add(start[0], code.index(i * self.rounds.per_round))
        return StoreColumnsOp(value, staged.array, [row, *start[1:]])

    def _load(self, code: Code, i: int) -> SSAValue:
        """The thread's element of round `i`: 0 outside the image, whose neighbours in memory are
        not its own.
        """
        where, inside = self._place(code, i)
        value = code.insert(LoadColumnsOp(self.images, [where], self.element_type))
        return code.select(inside, value, code.number(0.0, self.element_type))

    def _place(self, code: Code, i: int) -> tuple[SSAValue, SSAValue]:
        """Where to load, and whether the element is there; if not, any element is loaded."""
        rounds = self.rounds
        ty, *others = rounds.filter_rows(i)
        start, inside = self._filter_row(code, ty)
        distance = rounds.channel_distance(i, ty)
        if not others and rounds.left(i) == rounds.per_round:
            # Outside, `start` is 0 and the first pixel of some channel is loaded.
            return code.add(start, code.index(distance)), inside
        further = code.index(distance + rounds.row_distance(ty))
        if others:
            [next_ty] = others
            border = next_ty * rounds.window.channels - rounds.lowest_run(i)
            before = code.compare(self.run, "ult", code.index(border))
            _, inside_next = self._filter_row(code, next_ty)
            inside = code.select(before, inside, inside_next)
            distance = rounds.channel_distance(i, next_ty)
            other = code.index(distance + rounds.row_distance(next_ty))
            further = code.select(before, further, other)
        if rounds.left(i) < rounds.per_round:
            exists = code.compare(self.row, "ult", code.index(rounds.left(i)))
            inside = code.both(inside, exists)
        return code.select(inside, code.add(self.origin, further), code.index(0)), inside

    def _filter_row(self, code: Code, ty: int) -> tuple[SSAValue, SSAValue]:
        """Where the thread's elements of filter row `ty` begin, 0 where they lie outside the image;
        whether they lie inside. Emitted once.
        """
        known = self._filter_rows.get(ty)
        if known is None:
            rounds = self.rounds
            down = _moved(code, self.column.down, rounds.down(ty))
            above = code.compare(down, "ult", code.index(rounds.window.image[0]))
            inside = code.both(above, self.inside)
            moved = _moved(code, self.origin, rounds.row_distance(ty))
            known = code.select(inside, moved, code.index(0)), inside
            self._filter_rows[ty] = known
        return known


def _moved(code: Code, start: SSAValue, distance: int) -> SSAValue:
    """`start + distance`; below 0 it is a large unsigned number."""
    if distance < 0:
        return code.insert(arith.SubiOp(start, code.index(-distance)))
    return code.add(start, code.index(distance))
