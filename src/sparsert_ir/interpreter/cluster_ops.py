"""Sums sent from block to block within a cluster, whose blocks run in lockstep."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dialects.sparsert import OpenInboxOp, SendColumnsOp, lane_width
from sparsert_ir.interpreter.gpu_ops import whole_blocks
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.memory import Memory
from sparsert_ir.interpreter.memory_ops import locate_lane, write


def _open_inbox(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    """The signal of each block holds how many elements are still to come; poison: not opened."""
    op = cast(OpenInboxOp, op)
    signal, inbox, rows = operands
    if whole_blocks(frame, op).size != len(frame.blocks):
        frame.fail(op, f"expected all {len(frame.blocks)} blocks of the cluster here")
    if _is_open(signal).any():
        frame.fail(op, "expected one inbox in a kernel, opened once")
    of_block = rows.reshape(len(frame.blocks), -1)
    if (of_block != of_block[:, :1]).any():
        frame.fail(op, "expected one number of rows in all threads of a block")
    signal.elements[:] = of_block[:, 0] * inbox.shape[-1]
    inbox.in_flight = np.zeros(inbox.elements.size, np.bool_)
    frame.pass_cluster_barrier()
    return []


def _is_open(signal: Memory) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return signal.elements != np.iinfo(signal.elements.dtype).min


def _send_columns(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(SendColumnsOp, op)
    value, inbox, *indices, block, signal = operands
    if inbox.in_flight is None:
        frame.fail(op, "expected an open inbox")
    receivers = block[frame.lanes]
    wrong = (receivers < 0) | (receivers >= len(frame.blocks))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        what = f"expected a block below {len(frame.blocks)}, got {int(receivers[first])}"
        frame.fail(op, what, int(frame.lanes[first]))
    width = lane_width(op.value.type)
    own = locate_lane(frame, op, inbox, [index[frame.lanes] for index in indices], width)
    if own.exists is not None:
        frame.fail(op, "expected whole lanes, got one that runs over the last column")
    moved = (receivers - frame.ranks[frame.lanes]) * inbox.size
    there = replace(own, place=own.place + moved[:, np.newaxis])
    write(there, value[frame.lanes].reshape(there.place.shape))
    inbox.in_flight[there.place] = True
    np.subtract.at(signal.elements, receivers, width)
    if (signal.elements < 0).any():
        frame.fail(op, "expected no more rows than the inbox was opened for")
    return []


def _await_inbox(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    signal, inbox = operands
    if inbox.in_flight is None:
        frame.fail(op, "expected an open inbox")
    for rank in whole_blocks(frame, op).tolist():
        missing = int(signal.elements[rank])
        if missing:
            what = f"would wait for ever: {missing} elements of its inbox are never sent"
            frame.fail(op, what, rank * frame.block_threads)
        begin = rank * inbox.size
        arrived = begin + np.flatnonzero(inbox.in_flight[begin : begin + inbox.size])
        inbox.in_flight[arrived] = False
        if inbox.log is not None:
            inbox.log.writes.settle(arrived)
    return []


CLUSTER_HANDLERS: Mapping[str, Handler] = {
    "sparsert.open_inbox": _open_inbox,
    "sparsert.send_columns": _send_columns,
    "sparsert.await_inbox": _await_inbox,
}
