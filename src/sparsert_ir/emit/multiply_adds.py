"""Bulk runs as text: one instruction per nonzero, without an operation for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from xdsl.ir import SSAValue

from sparsert_ir.dense import Array, to_numpy
from sparsert_ir.dialects.sparsert import PtrAccumulateOp, PtrWriteRowsOp
from sparsert_ir.emit.function_writer import FunctionWriter
from sparsert_ir.emit.fused import MultiplyAdd
from sparsert_ir.emit.guarded_loads import GuardedLoad
from sparsert_ir.emit.instructions import INVARIANT_LOAD, NONTEMPORAL, Emitters, emitter
from sparsert_ir.emit.lanes import Pieces
from sparsert_ir.emit.literals import ELEMENT_BYTES, number_texts, type_text, zero_text
from sparsert_ir.emit.narrowing import narrowed_text
from sparsert_ir.emit.streaming import StreamedLane
from sparsert_ir.errors import IRError


@dataclass(frozen=True)
class LanePointer:
    """Where a thread reads or writes: `pointers` as in `ptr_accumulate`, elements of `element`.

    space:   type of the pointers.
    aligned: whether a lane lies on a multiple of its size.
    """

    writer: FunctionWriter
    pointers: tuple[str, ...]
    space: str
    element: str
    aligned: bool

    @classmethod
    def of(cls, writer: FunctionWriter, values: Sequence[SSAValue], element: str) -> "LanePointer":
        names = tuple(writer.name(value) for value in values)
        return cls(writer, names, type_text(values[0].type), element, writer.on_gpu)

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return ELEMENT_BYTES[self.element]

    @cached_property
    def _heads(self) -> list[str]:
        """For each pointer, what comes before an offset."""
        return [
            f"getelementptr inbounds {self.element}, {self.space} {pointer}, i64 "
            for pointer in self.pointers
        ]

    def at(self, offset: int | str, pointer: int = 0) -> str:
        """The address of the element `offset` elements on."""
        if offset == 0:
            return self.pointers[pointer]
        return self.writer.assign(f"{self._heads[pointer]}{offset}")

    def place(self, offset: int, column: int) -> tuple[str, int]:
        """A pointer, and how many elements after it one column of the lane at `offset` lies."""
        if len(self.pointers) == 1:
            return self.pointers[0], offset + column
        return self.pointers[column], offset

    def with_second(self, inside: str) -> "LanePointer":
        """Two pointers; the second repeats the first unless `inside`, an i1."""
        step = self.writer.assign(f"zext i1 {inside} to i64")
        return replace(self, pointers=(self.pointers[0], self.at(step)))

    def load(self, pieces: Pieces, offset: int, note: str) -> list[str]:
        """The lane at `offset` as pieces, element by element where there are several pointers."""
        if len(self.pointers) > 1:
            numbers = [self._load_one(self.at(offset, i), note) for i in range(len(self.pointers))]
            return pieces.of_numbers(self.writer, numbers)
        align = self.size * pieces.width if self.aligned else self.size
        lane = self.writer.assign(
            f"load {pieces.lane_type}, {self.space} {self.at(offset)}, align {align}{note}"
        )
        return pieces.split(self.writer, lane)

    def _load_one(self, place: str, note: str) -> str:
        return self.writer.assign(
            f"load {self.element}, {self.space} {place}, align {self.size}{note}"
        )

    def load_guarded(
        self, pieces: Pieces, offset: int, guards: Sequence[str], note: str
    ) -> list[str]:
        """As `load`, with one guard for each pointer: where it is false nothing is read, and the
        column is 0.
        """
        columns = list(zip(self.pointers, guards, strict=True))
        code = GuardedLoad(self.writer, self.element, self.space, invariant=bool(note))
        groups = [columns[i : i + pieces.size] for i in range(0, len(columns), pieces.size)]
        return [code.load(group, offset * self.size) for group in groups]


class Sums:
    """Accumulators of a run: per row a list of pieces; `None` before the first product."""

    def __init__(self, writer: FunctionWriter, pieces: Pieces, rows: int):
        self._writer = writer
        self._pieces = pieces
        self._zero = pieces.literal(zero_text(pieces.element))
        self.rows: list[list[str] | None] = [None] * rows
        self._fused = MultiplyAdd(writer, pieces.element, pieces.size)

    def start(self, initial: Sequence[SSAValue]) -> None:
        """Go on from whole lanes, if there are any."""
        for row, value in enumerate(initial):
            self.rows[row] = self._pieces.split(self._writer, self._writer.name(value))

    def multiply_add(self, row: int, x: Sequence[str], value: str) -> None:
        """sums[row] += x * value, where `value` is the literal of a piece."""
        assign, text = self._writer.assign, self._fused.text
        old = self.rows[row] or [self._zero] * len(x)
        self.rows[row] = [
            assign(text(piece, value, total)) for piece, total in zip(x, old, strict=True)
        ]

    def add(self, row: int, partial: Sequence[str]) -> None:
        """sums[row] += partial."""
        writer, kind = self._writer, self._pieces.type
        old = self.rows[row] or [self._zero] * len(partial)
        self.rows[row] = [
            writer.assign(f"fadd {kind} {total}, {piece}")
            for piece, total in zip(partial, old, strict=True)
        ]

    def take(self, row: int) -> list[str] | None:
        """The pieces of a row, which starts anew."""
        pieces, self.rows[row] = self.rows[row], None
        return pieces

    def define(self, results: Sequence[SSAValue]) -> None:
        """Name the sums, whole lanes, as results of the operation."""
        for result, pieces in zip(results, self.rows, strict=True):
            lane = pieces or [self._zero] * self._pieces.count
            self._writer.names[result] = self._pieces.join(self._writer, lane)


def converted(
    writer: FunctionWriter, old: Pieces, pieces: Sequence[str], element: str
) -> list[str]:
    """Pieces with another element type; rounds to nearest when it gets narrower."""
    if old.element == element:
        return list(pieces)
    new = old.with_element(element)
    if ELEMENT_BYTES[element] > ELEMENT_BYTES[old.element]:
        return [writer.assign(f"fpext {old.type} {piece} to {new.type}") for piece in pieces]
    return [
        writer.assign(narrowed_text(writer, (old.element, element), old.size, piece))
        for piece in pieces
    ]


def emit_accumulate(writer: FunctionWriter, op: PtrAccumulateOp) -> None:
    """One load for each run of equal offsets, one multiply-add per value."""
    lane = Pieces.of(writer, op.sums[0].type)
    element = type_text(op.element_type)
    pointer = LanePointer.of(writer, op.x, element)
    guards = _guards(writer, op)
    note = INVARIANT_LOAD if op.invariant is not None else ""
    offsets, rows, values = (to_numpy(a) for a in (op.offsets, op.rows, op.values))
    fold = 1 if op.fold is None else op.fold.value.data
    x_lane = lane.with_element(element)
    if element != lane.element and fold > 1:
        x_lane = Pieces.of_element(writer, element, lane.width)
        add = _folded(writer, op, lane, x_lane, values, fold)
    else:
        add = _plain(writer, op, lane, x_lane, values)
    place, x = (-1, -1), [""]
    numbers = _guard_numbers(op)
    for i, (offset, row) in enumerate(zip(offsets.tolist(), rows.tolist(), strict=True)):
        if (offset, numbers[i]) != place:
            place = offset, numbers[i]
            if numbers[i] < 0:
                x = add.prepare(pointer.load(x_lane, offset, note))
            else:
                x = add.prepare(pointer.load_guarded(x_lane, offset, guards[numbers[i]], note))
        add.one(i, row, x)
    add.finish()


def _guard_numbers(op: PtrAccumulateOp) -> list[int]:
    """The guard of each product's load, -1 for none."""
    if op.guard_numbers is None:
        return [-1] * op.offsets.get_shape()[0]
    return to_numpy(op.guard_numbers).tolist()


def _guards(writer: FunctionWriter, op: PtrAccumulateOp) -> list[list[str]]:
    """For each guard its names, one for each pointer."""
    if op.guards and not writer.on_gpu:
        raise IRError("LLVM IR text: expected guarded loads on a GPU only")
    names, count = [writer.name(guard) for guard in op.guards], len(op.x)
    return [names[i : i + count] for i in range(0, len(names), count)]


@dataclass(frozen=True)
class Adder:
    """How a run adds: `prepare` what was loaded, add product number i to a row, `finish`."""

    prepare: Callable[[list[str]], list[str]]
    one: Callable[[int, int, list[str]], None]
    finish: Callable[[], None]


def _literals(values: Array, pieces: Pieces) -> list[str]:
    dtype = np.float16 if pieces.element == "half" else np.float32
    return [pieces.literal(text) for text in number_texts(values.astype(dtype, copy=False))]


def _plain(
    writer: FunctionWriter, op: PtrAccumulateOp, lane: Pieces, x_lane: Pieces, values: Array
) -> Adder:
    """Every product is added in the element type of the sums."""
    sums, literals = Sums(writer, lane, len(op.sums)), _literals(values, lane)
    sums.start(op.initial)
    return Adder(
        lambda loaded: converted(writer, x_lane, loaded, lane.element),
        lambda i, row, x: sums.multiply_add(row, x, literals[i]),
        lambda: sums.define(op.sums),
    )


def _folded(
    writer: FunctionWriter,
    op: PtrAccumulateOp,
    lane: Pieces,
    x_lane: Pieces,
    values: Array,
    fold: int,
) -> Adder:
    """At most `fold` products of a row are added in x's element type before the sum takes them."""
    sums = Sums(writer, lane, len(op.sums))
    sums.start(op.initial)
    partial, literals = Sums(writer, x_lane, len(op.sums)), _literals(values, x_lane)
    counts = [0] * len(op.sums)

    def flush(row: int) -> None:
        pieces = partial.take(row)
        if pieces is None:
            return
        kind = x_lane
        if lane.size != x_lane.size:
            pieces, kind = x_lane.numbers(writer, pieces), lane.with_element(x_lane.element)
        sums.add(row, converted(writer, kind, pieces, lane.element))

    def one(i: int, row: int, x: list[str]) -> None:
        partial.multiply_add(row, x, literals[i])
        counts[row] += 1
        if counts[row] % fold == 0:
            flush(row)

    def finish() -> None:
        for row in range(len(op.sums)):
            flush(row)
        sums.define(op.sums)

    return Adder(lambda loaded: loaded, one, finish)


def emit_write_rows(writer: FunctionWriter, op: PtrWriteRowsOp) -> None:
    """The epilogue and the store of each sum; a guarded second column in blocks of its own."""
    if not op.sums:
        return
    lane = Pieces.of(writer, op.sums[0].type)
    element = type_text(op.element_type)
    bias = None if op.bias is None else _literals(to_numpy(op.bias), lane)
    stores: list[tuple[int, str]] = []
    for row, offset in enumerate(to_numpy(op.offsets).tolist()):
        if offset < 0:
            continue
        pieces = lane.split(writer, writer.name(op.sums[row]))
        if bias is not None:
            pieces = [writer.assign(f"fadd {lane.type} {piece}, {bias[row]}") for piece in pieces]
        pieces = _residual_and_activation(writer, op, lane, element, pieces, offset)
        y = lane.with_element(element)
        stores.append((offset, y.join(writer, converted(writer, lane, pieces, element))))
    _store(writer, op, lane.with_element(element), stores)


def _residual_and_activation(
    writer: FunctionWriter,
    op: PtrWriteRowsOp,
    lane: Pieces,
    element: str,
    pieces: list[str],
    offset: int,
) -> list[str]:
    after = op.residual_after_activation is not None
    if op.residual and not after:
        pieces = _add_residual(writer, op, lane, element, pieces, offset)
    if op.activation is not None:
        zero = lane.literal(zero_text(lane.element))
        operands = [[(lane.type, piece), (lane.type, zero)] for piece in pieces]
        pieces = [writer.call(f"llvm.maximum.{lane.suffix}", lane.type, both) for both in operands]
    if op.residual and after:
        pieces = _add_residual(writer, op, lane, element, pieces, offset)
    return pieces


def _add_residual(
    writer: FunctionWriter,
    op: PtrWriteRowsOp,
    lane: Pieces,
    element: str,
    pieces: list[str],
    offset: int,
) -> list[str]:
    x_lane = lane.with_element(element)
    pointer = LanePointer.of(writer, op.residual, element)
    if op.second is not None and len(op.residual) == 1:
        pointer = pointer.with_second(writer.name(op.second))
    note = INVARIANT_LOAD if op.invariant is not None else ""
    loaded = pointer.load(x_lane, offset, note)
    return [
        writer.assign(f"fadd {lane.type} {piece}, {other}")
        for piece, other in zip(
            pieces, converted(writer, x_lane, loaded, lane.element), strict=True
        )
    ]


def _store(
    writer: FunctionWriter, op: PtrWriteRowsOp, y: Pieces, stores: Sequence[tuple[int, str]]
) -> None:
    pointer = LanePointer.of(writer, op.y, y.element)
    if op.second is None and len(op.y) == 1:
        for offset, lane in stores:
            _store_lane(writer, op, y, (pointer.pointers[0], offset), lane)
        return
    for column in range(y.width if op.second is None else 1):
        _store_column(writer, op, pointer, y, stores, column)
    if op.second is None:
        return
    inside, after = writer.fresh()[1:], writer.fresh()[1:]
    writer.line(f"br i1 {writer.name(op.second)}, label %{inside}, label %{after}")
    writer.begin(inside)
    _store_column(writer, op, pointer, y, stores, 1)
    writer.line(f"br label %{after}")
    writer.begin(after)


def _store_column(
    writer: FunctionWriter,
    op: PtrWriteRowsOp,
    pointer: LanePointer,
    y: Pieces,
    stores: Sequence[tuple[int, str]],
    column: int,
) -> None:
    """Store one column of every lane."""
    for offset, lane in stores:
        number = writer.assign(f"extractelement {y.lane_type} {lane}, i32 {column}")
        place = pointer.place(offset, column)
        _store_lane(writer, op, Pieces(y.element, 1, 1), place, number)


def _store_lane(
    writer: FunctionWriter, op: PtrWriteRowsOp, y: Pieces, place: tuple[str, int], lane: str
) -> None:
    """Store a lane; `place` is a pointer and the elements after it."""
    base, offset = place
    streaming = op.streaming is not None
    if streaming and writer.on_gpu:
        StreamedLane(y.element, y.width, lane).store(writer, base, offset)
        return
    space = type_text(op.y[0].type)
    pointer = LanePointer(writer, (base,), space, y.element, writer.on_gpu)
    align = pointer.size * y.width if writer.on_gpu else pointer.size
    address = f"{space} {pointer.at(offset)}, align {align}"
    writer.line(f"store {y.lane_type} {lane}, {address}{NONTEMPORAL if streaming else ''}")


MULTIPLY_ADDS: Emitters = {
    PtrAccumulateOp: emitter(emit_accumulate),
    PtrWriteRowsOp: emitter(emit_write_rows),
}
