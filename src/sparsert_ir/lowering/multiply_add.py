"""Runs of multiply-adds and stores of their sums: the same in bulk, on pointers."""

from collections.abc import Sequence

import numpy as np
from xdsl.dialects import llvm
from xdsl.dialects.builtin import IntegerType, UnitAttr
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.dense import to_dense, to_numpy
from sparsert_ir.dialects.sparsert import (
    AccumulateOp,
    PtrAccumulateOp,
    PtrWriteRowsOp,
    WriteRowsOp,
    lane_width,
)
from sparsert_ir.errors import IRError
from sparsert_ir.lowering.function import FunctionLowering, Rules, rule
from sparsert_ir.lowering.memory import (
    array_of,
    check_pair,
    lanes_are_whole,
    second_column,
)

_LIMIT = 2**31 - 1


def _row_offsets(rows: Sequence[int], columns: int) -> object:
    """Where rows begin, in elements; -1 stays."""
    numbers = np.asarray(rows, np.int64)
    offsets = np.where(numbers >= 0, numbers * columns, -1)
    if offsets.max(initial=0) > _LIMIT:
        raise IRError(f"sparsert-convert-to-llvm: expected at most {_LIMIT} elements in an array")
    return to_dense(offsets.astype(np.int32))


def lower_accumulate(lowering: FunctionLowering, op: AccumulateOp) -> Sequence[SSAValue]:
    kind = array_of(op.x)
    column = lowering.value(op.column)
    width = lane_width(op.sums[0].type)
    base = lowering.value(op.x)
    pointers = [lowering.element_pointer(base, column, kind.element_type)]
    if width > 1 and not lanes_are_whole(lowering, kind, width):
        check_pair(kind, width)
        _, inside = second_column(lowering, kind, column)
        step = lowering.insert(llvm.ZExtOp(inside, IntegerType(lowering.target.index_bits)))
        pointers.append(lowering.element_pointer(pointers[0], step, kind.element_type))
    properties: dict[str, Attribute | None] = {
        "element_type": kind.element_type,
        "offsets": _row_offsets(to_numpy(op.columns), kind.get_shape()[-1]),  # pyright: ignore
        "rows": op.rows,
        "values": op.values,
        "fold": op.fold,
        "invariant": UnitAttr() if op.x in lowering.read_only else None,
    }
    accumulate = PtrAccumulateOp(pointers, [total.type for total in op.sums], properties)
    lowering.do(accumulate)
    return accumulate.sums


def lower_write_rows(lowering: FunctionLowering, op: WriteRowsOp) -> Sequence[SSAValue]:
    kind = array_of(op.y)
    column = lowering.value(op.column)
    width = lane_width(op.sums[0].type)
    y = lowering.element_pointer(lowering.value(op.y), column, kind.element_type)
    residual = second = None
    if op.residual is not None:
        base = lowering.value(op.residual)
        residual = lowering.element_pointer(base, column, kind.element_type)
    if width > 1 and not lanes_are_whole(lowering, kind, width):
        check_pair(kind, width)
        _, second = second_column(lowering, kind, column)
    names = ("bias", "activation", "residual_after_activation", "streaming")
    properties = {name: op.properties.get(name) for name in names}
    properties["element_type"] = kind.element_type
    properties["offsets"] = _row_offsets(to_numpy(op.rows), kind.get_shape()[-1])  # pyright: ignore
    sums = lowering.values(op.sums)
    lowering.do(PtrWriteRowsOp(sums, y, residual, second, properties))
    return []


MULTIPLY_ADD: Rules = {
    AccumulateOp: rule(lower_accumulate),
    WriteRowsOp: rule(lower_write_rows),
}
