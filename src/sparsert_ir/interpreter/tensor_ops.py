"""Tensor level of `sparsert`, the meaning that every later level must keep.

Sums start at 0 and are added by fused multiply-adds in ascending order of the columns of the
weight; zeros of the weight are skipped. With K groups each group is summed so, then the groups in
ascending order. The element type of the sums is the schedule's choice, without one that of x.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dense import Array, to_numpy
from sparsert_ir.dialects.sparsert import ConstantOp, ScheduleAttr, SpmmOp, TiledSpmmOp
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.multiply_add import deal_run, run_sums
from sparsert_ir.interpreter.product_ops import epilogue, matrix_run
from sparsert_ir.matrix import SparseMatrix


def _constant(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(ConstantOp, op)
    return [SparseMatrix(*op.arrays(), op.shape)]


def _summation(schedule: ScheduleAttr | None, dtype: np.dtype[Any]) -> tuple[np.dtype[Any], int]:
    """Element type of the sums, and how many products are first added in that of x."""
    if schedule is None or schedule.data.accumulation == "plain":
        return dtype, 1
    folded = schedule.data.accumulation == "folded"
    return np.dtype(np.float32), schedule.data.fold_length if folded else 1


def _finish(op: SpmmOp | TiledSpmmOp, sums: Array, x: Array, residual: Array | None) -> Array:
    """Sums through the operation's epilogue, in the element type of x."""
    bias = None if op.bias is None else to_numpy(op.bias)[:, np.newaxis]
    after = op.residual_after_activation is not None
    return epilogue(sums, bias, residual, op.activation is not None, after).astype(x.dtype)


def _spmm(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(SpmmOp, op)
    matrix: SparseMatrix = operands[0]
    x: Array = operands[1]
    dtype, fold = _summation(op.schedule, x.dtype)
    run = deal_run(matrix.column_indices, matrix.row_indices, matrix.values, matrix.shape[0])
    sums = run_sums(run, x[run.columns], dtype, fold)
    return [_finish(op, sums, x, operands[2] if op.residual is not None else None)]


def _tiled_spmm(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(TiledSpmmOp, op)
    matrix: SparseMatrix = operands[0]
    x: Array = operands[1]
    dtype, fold = _summation(op.schedule, x.dtype)
    panels, splits = to_numpy(op.panels), to_numpy(op.splits)
    sums = np.zeros((matrix.shape[0], x.shape[1]), dtype)
    for panel, rows in enumerate(panels):
        for group in range(splits.shape[1] - 1):
            run = matrix_run(matrix, panels, splits, panel, group)
            partial = run_sums(run, x[run.columns], dtype, fold)
            sums[rows[rows >= 0]] += partial[rows >= 0]
    return [_finish(op, sums, x, operands[2] if op.residual is not None else None)]


def _bias_add(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return [operands[0] + operands[1][:, np.newaxis]]


def _relu(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return [np.maximum(operands[0], operands[0].dtype.type(0))]


def _residual_add(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return [operands[0] + operands[1]]


TENSOR_HANDLERS: Mapping[str, Handler] = {
    "sparsert.constant": _constant,
    "sparsert.spmm": _spmm,
    "sparsert.tiled_spmm": _tiled_spmm,
    "sparsert.bias_add": _bias_add,
    "sparsert.relu": _relu,
    "sparsert.residual_add": _residual_add,
}
