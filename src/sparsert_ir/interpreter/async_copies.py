"""Copies that run beside other work: nobody may touch their target until a thread waited for them.

All threads of a block commit and wait together, so one list of groups does for all of them.
"""

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dense import Array
from sparsert_ir.dialects.sparsert import AsyncCopyOp, AsyncWaitOp
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.memory import poisoned
from sparsert_ir.interpreter.memory_ops import Access, locate, read, write


def _async_copy(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    """Both the start and the end count as writes of the thread: nobody may read in between, and
    others may read only after a barrier.
    """
    if frame.launch is None:
        frame.fail(op, "expected asynchronous copies in kernels only")
    count = cast(AsyncCopyOp, op).count.value.data
    x, row, column, staged, slot, place = operands
    for first in (column, place):
        odd = first[frame.lanes] % count != 0
        if odd.any():
            lane = int(frame.lanes[np.flatnonzero(odd)[0]])
            frame.fail(op, f"expected columns that are multiples of {count}", lane)
    values = read(locate(frame, op, x, [row[frame.lanes], column[frame.lanes]], count))
    target = locate(frame, op, staged, [slot[frame.lanes], place[frame.lanes]], count)
    frame.copies[-1].append(begin_copy(target, values))
    return []


def begin_copy(target: Access, values: Array) -> Callable[[], None]:
    """Write poison, which nobody may touch; returns what ends the copy."""
    memory, mask = target.memory.root, target.frame.mask
    if memory.in_flight is None:
        memory.in_flight = np.zeros(memory.elements.size, np.bool_)
    in_flight = memory.in_flight
    write(target, poisoned(values.shape, values.dtype))
    in_flight[target.place] = True

    def finish() -> None:
        in_flight[target.place] = False
        with target.frame.only(mask):
            write(target, values)

    return finish


def _check_all(frame: Frame, op: Operation) -> None:
    if not frame.mask.all():
        missing = int(np.flatnonzero(~frame.mask)[0])
        frame.fail(op, "expected all threads of the block; the first that is missing", missing)


def _async_commit(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    _check_all(frame, op)
    frame.copies.append([])
    return []


def _async_wait(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    _check_all(frame, op)
    pending = cast(AsyncWaitOp, op).pending.value.data
    while len(frame.copies) - 1 > pending:
        for finish in frame.copies.pop(0):
            finish()
    return []


ASYNC_COPY_HANDLERS: Mapping[str, Handler] = {
    "sparsert.async_copy": _async_copy,
    "sparsert.async_commit": _async_commit,
    "sparsert.async_wait": _async_wait,
}
