"""Copies of whole rows that a signal counts: nobody may touch their target before it has them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dense import Array
from sparsert_ir.gpu_facts import BULK_COPY_BYTES
from sparsert_ir.interpreter.async_copies import begin_copy
from sparsert_ir.interpreter.gpu_ops import whole_blocks
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.memory import Memory
from sparsert_ir.interpreter.memory_ops import locate, read


@dataclass
class Signal:
    """phase: number of the one that has not ended. expected: bytes that end it, once it is known.
    copied: bytes on their way. finish: what ends the copies.
    """

    phase: int = 0
    expected: int | None = None
    copied: int = 0
    finish: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])


def _make_signals(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    memory: Memory = operands[0]
    _check_block(frame, op)
    if memory in frame.signals:
        frame.fail(op, "expected signals that were not made before")
    frame.signals[memory] = [Signal() for _ in range(memory.elements.size)]
    frame.pass_barrier(whole_blocks(frame, op))
    return []


def _check_block(frame: Frame, op: Operation) -> None:
    """All threads of a block that is in no cluster."""
    if frame.in_cluster or not whole_blocks(frame, op).size:
        frame.fail(op, "expected all threads of a block outside clusters")


def _signal(frame: Frame, op: Operation, memory: Memory, number: Array) -> Signal:
    """The one signal that all active threads mean."""
    numbers = np.unique(number[frame.lanes])
    signals = cast("list[Signal] | None", frame.signals.get(memory))
    if signals is None:
        frame.fail(op, "expected signals that were made")
    if numbers.size != 1 or not 0 <= numbers[0] < len(signals):
        frame.fail(op, f"expected one signal below {len(signals)}, got {numbers.tolist()}")
    return signals[int(numbers[0])]


def _expect_bytes(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    memory, number, byte_count = operands
    signal = _signal(frame, op, memory, number)
    if frame.lanes.size != 1:
        frame.fail(op, f"expected one thread, got {frame.lanes.size}")
    if signal.expected is not None:
        frame.fail(op, "expected a phase of which nobody said how many bytes end it")
    signal.expected = int(byte_count[frame.lanes[0]])
    return []


def _bulk_copy(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    x, row, column, staged, slot, place, count, memory, number = operands
    signal = _signal(frame, op, memory, number)
    counts = np.unique(count[frame.lanes])
    size = x.elements.itemsize
    starts = np.concatenate([column[frame.lanes], place[frame.lanes], counts]) * size
    if counts.size != 1 or counts[0] < 1 or (starts % BULK_COPY_BYTES).any():
        what = f"starts and one size of multiples of {BULK_COPY_BYTES} bytes"
        frame.fail(op, f"expected {what}, got {starts.tolist()}")
    width = int(counts[0])
    values = read(locate(frame, op, x, [row[frame.lanes], column[frame.lanes]], width))
    target = locate(frame, op, staged, [slot[frame.lanes], place[frame.lanes]], width)
    signal.finish.append(begin_copy(target, values))
    signal.finish.append(lambda: _settle(target.memory, target.place))
    signal.copied += values.nbytes
    return []


def _settle(memory: Memory, place: Array) -> None:
    """Those that waited may read what was copied."""
    log = memory.root.log
    if log is not None:
        log.writes.settle(place.ravel())


def _await_bytes(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    memory, number, parity = operands
    _check_block(frame, op)
    signal = _signal(frame, op, memory, number)
    parities = np.unique(parity[frame.lanes]).tolist()
    if len(parities) != 1 or parities[0] not in (0, 1):
        frame.fail(op, f"expected a parity of 0 or 1, got {parities}")
    if parities[0] != signal.phase % 2:
        return []
    if signal.expected != signal.copied:
        expected = "an unknown number of" if signal.expected is None else signal.expected
        frame.fail(op, f"would wait for ever: {expected} bytes expected, {signal.copied} copied")
    for finish in signal.finish:
        finish()
    signal.phase, signal.expected, signal.copied = signal.phase + 1, None, 0
    signal.finish.clear()
    return []


BULK_COPY_HANDLERS: Mapping[str, Handler] = {
    "sparsert.make_signals": _make_signals,
    "sparsert.expect_bytes": _expect_bytes,
    "sparsert.bulk_copy": _bulk_copy,
    "sparsert.await_bytes": _await_bytes,
}
