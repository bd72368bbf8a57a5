"""Bulk runs as text: one instruction per nonzero, without an operation for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from xdsl.ir import SSAValue

from sparsert_ir.dense import Array, to_numpy
from sparsert_ir.dialects.sparsert import PtrAccumulateOp, PtrWriteRowsOp
from sparsert_ir.emit.function_writer import FunctionWriter
from sparsert_ir.emit.fused import MultiplyAdd
from sparsert_ir.emit.instructions import INVARIANT_LOAD, NONTEMPORAL, Emitters, emitter
from sparsert_ir.emit.lanes import Pieces, join_numbers
from sparsert_ir.emit.literals import number_texts, type_text
from sparsert_ir.emit.streaming import StreamedLane

ELEMENT_BYTES = {"half": 2, "float": 4, "double": 8}


@dataclass(frozen=True)
class LanePointer:
    """Where a thread reads or writes: `pointers` as in `ptr_accumulate`, elements of `element`.

    aligned: whether a lane lies on a multiple of its size.
    """

    writer: FunctionWriter
    pointers: tuple[SSAValue, ...]
    element: str
    aligned: bool

    @cached_property
    def space(self) -> str:
        """LLVM type of the pointers."""
        return type_text(self.pointers[0].type)

    @cached_property
    def _heads(self) -> list[str]:
        """For each pointer, what comes before an offset."""
        return [
            f"getelementptr inbounds {self.element}, {self.writer.typed(pointer)}, i64 "
            for pointer in self.pointers
        ]

    def at(self, offset: int, pointer: int = 0) -> str:
        """The address of the element `offset` elements on."""
        if offset == 0:
            return self.writer.name(self.pointers[pointer])
        return self.writer.assign(f"{self._heads[pointer]}{offset}")

    def load(self, pieces: Pieces, offset: int, note: str) -> list[str]:
        """The lane at `offset` as pieces, element by element where the second pointer says so."""
        size = ELEMENT_BYTES[self.element]
        if len(self.pointers) == 2:
            numbers = [
                self.writer.assign(
                    f"load {self.element}, {self.space} {self.at(offset, i)}, align {size}{note}"
                )
                for i in range(2)
            ]
            if pieces.size == 1:
                return numbers
            return [join_numbers(self.writer, self.element, numbers)]
        align = size * pieces.width if self.aligned else size
        lane = self.writer.assign(
            f"load {pieces.lane_type}, {self.space} {self.at(offset)}, align {align}{note}"
        )
        return pieces.split(self.writer, lane)


class Sums:
    """Accumulators of a run: per row a list of pieces; `None` before the first product."""

    def __init__(self, writer: FunctionWriter, pieces: Pieces, rows: int):
        self._writer = writer
        self._pieces = pieces
        self._zero = pieces.literal(number_texts(np.zeros(1, np.float32))[0])
        if pieces.element == "half":
            self._zero = pieces.literal(number_texts(np.zeros(1, np.float16))[0])
        self.rows: list[list[str] | None] = [None] * rows
        self._fused = MultiplyAdd(writer, pieces.element, pieces.size)

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
    wider = ELEMENT_BYTES[element] > ELEMENT_BYTES[old.element]
    verb = "fpext" if wider else "fptrunc"
    return [writer.assign(f"{verb} {old.type} {piece} to {new.type}") for piece in pieces]


def emit_accumulate(writer: FunctionWriter, op: PtrAccumulateOp) -> None:
    """One load for each run of equal offsets, one multiply-add per value."""
    lane = Pieces.of(writer, op.sums[0].type)
    element = type_text(op.element_type)
    pointer = LanePointer(writer, tuple(op.x), element, writer.on_gpu)
    note = INVARIANT_LOAD if op.invariant is not None else ""
    offsets, rows, values = (to_numpy(a) for a in (op.offsets, op.rows, op.values))
    fold = 1 if op.fold is None else op.fold.value.data
    x_lane = lane.with_element(element)
    if element != lane.element and fold > 1:
        x_lane = Pieces.of_element(writer, element, lane.width)
        add = _folded(writer, op, lane, x_lane, values, fold)
    else:
        add = _plain(writer, op, lane, x_lane, values)
    place, x = -1, [""]
    for i, (offset, row) in enumerate(zip(offsets.tolist(), rows.tolist(), strict=True)):
        if offset != place:
            place = offset
            x = add.prepare(pointer.load(x_lane, offset, note))
        add.one(i, row, x)
    add.finish()


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
    if op.residual is not None and not after:
        pieces = _add_residual(writer, op, lane, element, pieces, offset)
    if op.activation is not None:
        zero = lane.literal(number_texts(np.zeros(1, np.float32))[0])
        if lane.element == "half":
            zero = lane.literal(number_texts(np.zeros(1, np.float16))[0])
        operands = [[(lane.type, piece), (lane.type, zero)] for piece in pieces]
        pieces = [writer.call(f"llvm.maximum.{lane.suffix}", lane.type, both) for both in operands]
    if op.residual is not None and after:
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
    assert op.residual is not None
    x_lane = lane.with_element(element)
    pointers = (op.residual,)
    if op.second is not None:
        step = writer.assign(f"zext i1 {writer.name(op.second)} to i64")
        second = writer.assign(
            f"getelementptr inbounds {element}, {writer.typed(op.residual)}, i64 {step}"
        )
        return _add_pair(writer, op, lane, x_lane, pieces, offset, second)
    pointer = LanePointer(writer, pointers, element, writer.on_gpu)
    loaded = converted(writer, x_lane, pointer.load(x_lane, offset, INVARIANT_LOAD), lane.element)
    return _add_pieces(writer, lane, pieces, loaded)


def _add_pair(
    writer: FunctionWriter,
    op: PtrWriteRowsOp,
    lane: Pieces,
    x_lane: Pieces,
    pieces: list[str],
    offset: int,
    second: str,
) -> list[str]:
    """A pair whose second column may lie past the end: the pointer then repeats the first."""
    assert op.residual is not None
    space = type_text(op.residual.type)
    size = ELEMENT_BYTES[x_lane.element]
    numbers: list[str] = []
    for base in (writer.name(op.residual), second):
        place = writer.assign(
            f"getelementptr inbounds {x_lane.element}, {space} {base}, i64 {offset}"
        )
        numbers.append(
            writer.assign(f"load {x_lane.element}, {space} {place}, align {size}{INVARIANT_LOAD}")
        )
    loaded = numbers
    if x_lane.size == 2:
        loaded = [join_numbers(writer, x_lane.element, numbers)]
    return _add_pieces(writer, lane, pieces, converted(writer, x_lane, loaded, lane.element))


def _add_pieces(
    writer: FunctionWriter, lane: Pieces, pieces: Sequence[str], others: Sequence[str]
) -> list[str]:
    return [
        writer.assign(f"fadd {lane.type} {piece}, {other}")
        for piece, other in zip(pieces, others, strict=True)
    ]


def _store(
    writer: FunctionWriter, op: PtrWriteRowsOp, y: Pieces, stores: Sequence[tuple[int, str]]
) -> None:
    if op.second is None:
        for offset, lane in stores:
            _store_lane(writer, op, y, offset, lane)
        return
    number = Pieces(y.element, 1, 1)
    seconds: list[tuple[int, str]] = []
    for offset, lane in stores:
        first = writer.assign(f"extractelement {y.lane_type} {lane}, i32 0")
        seconds.append((offset + 1, writer.assign(f"extractelement {y.lane_type} {lane}, i32 1")))
        _store_lane(writer, op, number, offset, first)
    inside, after = writer.fresh()[1:], writer.fresh()[1:]
    writer.line(f"br i1 {writer.name(op.second)}, label %{inside}, label %{after}")
    writer.begin(inside)
    for offset, second in seconds:
        _store_lane(writer, op, number, offset, second)
    writer.line(f"br label %{after}")
    writer.begin(after)


def _store_lane(
    writer: FunctionWriter, op: PtrWriteRowsOp, y: Pieces, offset: int, lane: str
) -> None:
    streaming = op.streaming is not None
    if streaming and writer.on_gpu:
        StreamedLane(y.element, y.width, lane).store(writer, writer.name(op.y), offset)
        return
    pointer = LanePointer(writer, (op.y,), y.element, writer.on_gpu)
    size = ELEMENT_BYTES[y.element]
    align = size * y.width if writer.on_gpu else size
    place = f"{type_text(op.y.type)} {pointer.at(offset)}, align {align}"
    writer.line(f"store {y.lane_type} {lane}, {place}{NONTEMPORAL if streaming else ''}")


MULTIPLY_ADDS: Emitters = {
    PtrAccumulateOp: emitter(emit_accumulate),
    PtrWriteRowsOp: emitter(emit_write_rows),
}
