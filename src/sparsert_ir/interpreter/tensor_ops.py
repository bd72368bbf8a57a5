"""Tensor level of `sparsert`, the meaning that every later level must keep.

Sums start at 0 and are added by fused multiply-adds in ascending order of the columns of the
weight; zeros of the weight are skipped. With K groups each group is summed so, then the groups in
ascending order: those of each block of a cluster, then the blocks' sums. The element type of the
sums is the schedule's choice, without one that of x; for bf16 it is f32.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dense import Array, to_numpy
from sparsert_ir.dialects.sparsert import (
    BiasAddOp,
    ConstantOp,
    Product,
    ScheduleAttr,
    SpmmOp,
    TiledSpmmOp,
)
from sparsert_ir.element_types import is_bfloat16
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.memory import Memory
from sparsert_ir.interpreter.multiply_add import deal_run, run_sums
from sparsert_ir.interpreter.number_ops import maximum
from sparsert_ir.interpreter.product_ops import epilogue, matrix_run
from sparsert_ir.interpreter.views import WindowView
from sparsert_ir.matrix import SparseMatrix


def _constant(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(ConstantOp, op)
    return [SparseMatrix(*op.arrays(), op.shape)]


def _summation(schedule: ScheduleAttr | None, dtype: np.dtype[Any]) -> tuple[np.dtype[Any], int]:
    """Element type of the sums, and how many products are first added in that of x."""
    if is_bfloat16(dtype):
        return np.dtype(np.float32), 1
    if schedule is None or schedule.data.accumulation == "plain":
        return dtype, 1
    folded = schedule.data.accumulation == "folded"
    return np.dtype(np.float32), schedule.data.fold_length if folded else 1


def _columns_of_x(op: Product | TiledSpmmOp, x: Array, rows: Array) -> Array:
    """Rows of the matrix that the weight is multiplied with."""
    if isinstance(op, SpmmOp) or op.window is None:
        return x[rows]
    return WindowView(Memory(x.reshape(-1), x.shape), op.window.data).gather(rows)


def _finish(op: Product | TiledSpmmOp, sums: Array, x: Array, residual: Array | None) -> Array:
    """Sums through the operation's epilogue, in the element type of x and the result's shape."""
    window = None if isinstance(op, SpmmOp) or op.window is None else op.window.data
    if window is not None:
        images = sums.reshape(sums.shape[0], window.batch, *window.output)
        sums = np.moveaxis(images, 0, window.channel_axis)
    bias = None
    if op.bias is not None:
        bias = _along(to_numpy(op.bias), 0 if window is None else window.channel_axis, sums.ndim)
    after = op.residual_after_activation is not None
    return epilogue(sums, bias, residual, op.activation is not None, after).astype(x.dtype)


def _along(numbers: Array, axis: int, rank: int) -> Array:
    """A vector as an array of that rank that extends along `axis` only."""
    return numbers.reshape([-1 if dimension == axis else 1 for dimension in range(rank)])


def _product(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(Product, op)
    matrix: SparseMatrix = operands[0]
    x: Array = operands[1]
    dtype, fold = _summation(op.schedule, x.dtype)
    run = deal_run(matrix.column_indices, matrix.row_indices, matrix.values, matrix.shape[0])
    sums = run_sums(run, _columns_of_x(op, x, run.columns), dtype, fold)
    return [_finish(op, sums, x, operands[2] if op.residual is not None else None)]


def _tiled_spmm(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(TiledSpmmOp, op)
    matrix: SparseMatrix = operands[0]
    x: Array = operands[1]
    dtype, fold = _summation(op.schedule, x.dtype)
    panels, splits = to_numpy(op.panels), to_numpy(op.splits)
    columns = x.shape[-1] if op.window is None else op.window.data.columns
    sums = np.zeros((matrix.shape[0], columns), dtype)
    per_block = _groups_per_block(op)
    for panel, rows in enumerate(panels):
        for first in range(0, splits.shape[1] - 1, per_block):
            of_block = np.zeros((rows.size, columns), dtype)
            for group in range(first, first + per_block):
                run = matrix_run(matrix, panels, splits, panel, group)
                of_block += run_sums(run, _columns_of_x(op, x, run.columns), dtype, fold)
            sums[rows[rows >= 0]] += of_block[rows >= 0]
    return [_finish(op, sums, x, operands[2] if op.residual is not None else None)]


def _groups_per_block(op: TiledSpmmOp) -> int:
    """K groups that are added before others are: those of a block of a cluster, or all."""
    groups, blocks = op.splits.get_shape()[1] - 1, op.schedule.data.cluster
    return groups // blocks if groups % blocks == 0 else groups


def _bias_add(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    value, bias = operands
    return [value + _along(bias, cast(BiasAddOp, op).dimension, value.ndim)]


def _relu(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return [maximum(operands[0], operands[0].dtype.type(0))]


def _residual_add(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return [operands[0] + operands[1]]


TENSOR_HANDLERS: Mapping[str, Handler] = {
    "sparsert.constant": _constant,
    "sparsert.spmm": _product,
    "sparsert.conv2d": _product,
    "sparsert.tiled_spmm": _tiled_spmm,
    "sparsert.bias_add": _bias_add,
    "sparsert.relu": _relu,
    "sparsert.residual_add": _residual_add,
}
