"""Runs of multiply-adds and stores of their sums: the same in bulk, on pointers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import MemRefType, UnitAttr
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.dense import Array, to_dense, to_numpy
from sparsert_ir.dialects.sparsert import (
    AccumulateOp,
    PtrAccumulateOp,
    PtrWriteRowsOp,
    WindowAttr,
    WriteRowsOp,
    lane_width,
)
from sparsert_ir.errors import IRError
from sparsert_ir.lowering.function import FunctionLowering, Rules, Sharers, rule, sharer
from sparsert_ir.lowering.lanes import (
    LIMIT,
    Lane,
    WindowLanes,
    check_size,
    lanes_are_whole,
    matrix_lane,
    share_window,
    window_lanes,
)
from sparsert_ir.lowering.memory import array_of
from sparsert_ir.window import Window


def _offsets(kind: MemRefType[Any], window: WindowAttr | None, rows: Array) -> Array:
    """Where rows of the matrix that an array holds begin, in elements; -1 stays."""
    numbers = rows.astype(np.int64)
    if window is not None:
        offsets = window.data.row_offsets(np.maximum(numbers, 0))
    elif kind.get_num_dims() == 1:
        offsets = numbers
    else:
        offsets = numbers * kind.get_shape()[-1]
    if np.abs(offsets).max(initial=0) > LIMIT:
        raise IRError(f"sparsert-convert-to-llvm: expected at most {LIMIT} elements in an array")
    return np.where(numbers >= 0, offsets, -1).astype(np.int32)


def _lane(
    lowering: FunctionLowering,
    buffer: SSAValue,
    column: SSAValue,
    width: int,
    window: WindowAttr | None,
) -> Lane:
    """The lane at `column` (of the old function) in row 0 of an array."""
    kind, base, first = array_of(buffer), lowering.value(buffer), lowering.value(column)
    if window is not None:
        return window_lanes(lowering, first, width, window).lane(base, kind)
    check_size(kind)
    start = lowering.element_pointer(base, first, kind.element_type)
    whole = lanes_are_whole(lowering, kind.get_shape()[-1], width)
    return matrix_lane(lowering, start, kind, first, width, whole)


def lower_accumulate(lowering: FunctionLowering, op: AccumulateOp) -> Sequence[SSAValue]:
    kind = array_of(op.x)
    width = lane_width(op.sums[0].type)
    rows_of_x = to_numpy(op.columns)
    lane = _lane(lowering, op.x, op.column, width, op.window)
    properties: dict[str, Attribute | None] = {
        "element_type": kind.element_type,
        "offsets": to_dense(_offsets(kind, op.window, rows_of_x)),
        "rows": op.rows,
        "values": op.values,
        "fold": op.fold,
        "invariant": UnitAttr() if op.x in lowering.read_only else None,
    }
    guards: list[SSAValue] = []
    if op.window is not None:
        lanes = window_lanes(lowering, lowering.value(op.column), width, op.window)
        guards, numbers = _guards(lanes, op.window.data, rows_of_x)
        properties["guard_numbers"] = to_dense(numbers) if guards else None
    types = [total.type for total in op.sums]
    initial = lowering.values(op.initial)
    accumulate = PtrAccumulateOp(lane.pointers, types, properties, guards, initial)
    lowering.do(accumulate)
    return accumulate.sums


def _guards(lanes: WindowLanes, window: Window, rows_of_x: Array) -> tuple[list[SSAValue], Array]:
    """The guards of the taps that may lie outside, and each row's guard (-1: always inside)."""
    _, ty, tx = window.taps(rows_of_x)
    taps = ty * window.kernel[1] + tx
    guard_of = np.full(window.kernel[0] * window.kernel[1], -1, np.int32)
    guards: list[SSAValue] = []
    count = 0
    for tap in np.unique(taps).tolist():
        columns = lanes.guards(*divmod(tap, window.kernel[1]))
        if columns:
            guards += columns
            guard_of[tap] = count
            count += 1
    return guards, guard_of[taps]


def lower_write_rows(lowering: FunctionLowering, op: WriteRowsOp) -> Sequence[SSAValue]:
    kind = array_of(op.y)
    width = lane_width(op.sums[0].type)
    buffers = [op.y] if op.residual is None else [op.y, op.residual]
    lanes = [_lane(lowering, buffer, op.column, width, op.window) for buffer in buffers]
    names = ("bias", "activation", "residual_after_activation", "streaming")
    properties = {name: op.properties.get(name) for name in names}
    properties["element_type"] = kind.element_type
    properties["invariant"] = UnitAttr() if op.residual in lowering.read_only else None
    properties["offsets"] = to_dense(_offsets(kind, op.window, to_numpy(op.rows)))
    y, *residual = [lane.pointers for lane in lanes]
    sums = lowering.values(op.sums)
    write = PtrWriteRowsOp(sums, y, residual[0] if residual else [], lanes[0].second, properties)
    lowering.do(write)
    return []


def _share_x(lowering: FunctionLowering, op: AccumulateOp) -> None:
    share_window(lowering, op.column, lane_width(op.sums[0].type), op.window, [op.x])


def _share_y(lowering: FunctionLowering, op: WriteRowsOp) -> None:
    buffers = [op.y] if op.residual is None else [op.y, op.residual]
    share_window(lowering, op.column, lane_width(op.sums[0].type), op.window, buffers)


MULTIPLY_ADD: Rules = {
    AccumulateOp: rule(lower_accumulate),
    WriteRowsOp: rule(lower_write_rows),
}

SHARED: Sharers = {
    AccumulateOp: sharer(_share_x),
    WriteRowsOp: sharer(_share_y),
}
"""The addresses that the cases of a switch over panels have in common."""
