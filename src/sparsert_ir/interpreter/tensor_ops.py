"""Tensor level of `sparsert`, the meaning that every later level must keep.

Sums start at 0 and are added by fused multiply-adds in ascending order of the columns of the
weight; zeros of the weight are skipped. With K groups each group is summed so, then the groups in
ascending order: those of each block of a cluster, then the blocks' sums. The element type of the
sums is the schedule's choice, without one that of x; for bf16 it is f32.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dense import Array, Dense, to_numpy
from sparsert_ir.dialects.sparsert import (
    BiasAddOp,
    ConstantOp,
    Conv2dOp,
    Product,
    ScheduleAttr,
    SeparableConv2dOp,
    TiledSpmmOp,
    Untiled,
)
from sparsert_ir.element_types import is_bfloat16
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.memory import Memory
from sparsert_ir.interpreter.multiply_add import deal_run, run_sums
from sparsert_ir.interpreter.number_ops import maximum
from sparsert_ir.interpreter.product_ops import epilogue, matrix_run
from sparsert_ir.interpreter.views import WindowView
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.window import Window


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


def _columns_of_x(x: Array, window: Window | None, rows: Array) -> Array:
    """Rows of the matrix that the weight is multiplied with."""
    if window is None:
        return x[rows]
    return WindowView(Memory(x.reshape(-1), x.shape), window).gather(rows)


@dataclass(frozen=True)
class _Ending:
    """What becomes of the sums of a product."""

    bias: Dense | None
    relu: bool
    residual: Array | None = None
    residual_after: bool = False

    def finish(self, sums: Array, window: Window | None) -> Array:
        """Sums through the epilogue, in the result's shape."""
        if window is not None:
            images = sums.reshape(sums.shape[0], window.batch, *window.output)
            sums = np.moveaxis(images, 0, window.channel_axis)
        bias = None
        if self.bias is not None:
            axis = 0 if window is None else window.channel_axis
            bias = _along(to_numpy(self.bias), axis, sums.ndim)
        return epilogue(sums, bias, self.residual, self.relu, self.residual_after)


def _ending(op: Untiled | TiledSpmmOp, residual: Array | None) -> _Ending:
    after = op.residual_after_activation is not None
    return _Ending(op.bias, op.activation is not None, residual, after)


def _along(numbers: Array, axis: int, rank: int) -> Array:
    """A vector as an array of that rank that extends along `axis` only."""
    return numbers.reshape([-1 if dimension == axis else 1 for dimension in range(rank)])


def _whole_sums(
    matrix: SparseMatrix, x: Array, window: Window | None, dtype: np.dtype[Any], fold: int
) -> Array:
    """Every row of the product, M x N."""
    run = deal_run(matrix.column_indices, matrix.row_indices, matrix.values, matrix.shape[0])
    return run_sums(run, _columns_of_x(x, window, run.columns), dtype, fold)


def _product(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(Product, op)
    window = op.window.data if isinstance(op, Conv2dOp) else None
    matrix, x, *residual = operands
    dtype, fold = _summation(op.schedule, x.dtype)
    sums = _whole_sums(matrix, x, window, dtype, fold)
    ending = _ending(op, residual[0] if residual else None)
    return [ending.finish(sums, window).astype(x.dtype)]


def _depthwise(
    op: SeparableConv2dOp | TiledSpmmOp,
    matrix: SparseMatrix,
    x: Array,
    window: Window,
    summation: tuple[np.dtype[Any], int],
) -> Array:
    """The images between the two convolutions, in the element type of the sums."""
    ending = _Ending(op.depthwise_bias, op.depthwise_activation is not None)
    return ending.finish(_whole_sums(matrix, x, window, *summation), window)


def _separable(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(SeparableConv2dOp, op)
    depthwise, matrix, x, *residual = operands
    window, summation = op.window.data, _summation(op.schedule, x.dtype)
    between = _depthwise(op, depthwise, x, window, summation)
    pointwise = window.result(depthwise.shape[0])
    sums = _whole_sums(matrix, between, pointwise, *summation)
    ending = _ending(op, residual[0] if residual else None)
    return [ending.finish(sums, pointwise).astype(x.dtype)]


def _tiled_spmm(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(TiledSpmmOp, op)
    matrix, x, *rest = operands
    element, (dtype, fold) = x.dtype, _summation(op.schedule, x.dtype)
    window = None if op.window is None else op.window.data
    if op.depthwise is not None and window is not None:
        depthwise = rest.pop(0)
        x = _depthwise(op, depthwise, x, window, (dtype, fold))
        window = window.result(depthwise.shape[0])
    panels, splits = to_numpy(op.panels), to_numpy(op.splits)
    columns = x.shape[-1] if window is None else window.columns
    sums = np.zeros((matrix.shape[0], columns), dtype)
    per_block = _groups_per_block(op)
    for panel, rows in enumerate(panels):
        for first in range(0, splits.shape[1] - 1, per_block):
            of_block = np.zeros((rows.size, columns), dtype)
            for group in range(first, first + per_block):
                run = matrix_run(matrix, panels, splits, panel, group)
                of_block += run_sums(run, _columns_of_x(x, window, run.columns), dtype, fold)
            sums[rows[rows >= 0]] += of_block[rows >= 0]
    ending = _ending(op, rest[0] if rest else None)
    return [ending.finish(sums, window).astype(element)]


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
    "sparsert.separable_conv2d": _separable,
    "sparsert.tiled_spmm": _tiled_spmm,
    "sparsert.bias_add": _bias_add,
    "sparsert.relu": _relu,
    "sparsert.residual_add": _residual_add,
}
