"""Thread level of the `sparsert` dialect: what one GPU thread or one SIMD loop body does.

A *lane* is what the thread holds of one row: a number, or a vector of adjacent columns.
In a kernel a lane starts inside the last dimension of the memref, at a multiple of its width, and
columns past the end are not touched. In host code a lane starts anywhere and ends inside.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import IndexType, IntegerAttr, MemRefType, TensorType, UnitAttr, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect, Pure

from sparsert_ir.dense import Dense, to_numpy
from sparsert_ir.dialects.sparsert.attributes import ActivationAttr
from sparsert_ir.dialects.sparsert.checks import (
    DENSE,
    LANE,
    MEMREF,
    TENSOR,
    check_element_type,
    check_float_elements,
    check_lane,
    check_lane_of,
    check_lanes,
    check_memory,
    check_positive,
    check_tiling,
    expect,
)


@irdl_op_definition
class ColumnTilesOp(IRDLOperation):
    """How many tiles of `width` columns cover `columns`: `ceil(columns / (threads * width))`."""

    name = "sparsert.column_tiles"

    columns = prop_def(IntegerAttr.constr(i64))
    threads = prop_def(IntegerAttr.constr(i64))
    width = prop_def(IntegerAttr.constr(i64))
    result = result_def(IndexType)

    traits = traits_def(Pure())

    assembly_format = "$columns `by` $threads `x` $width attr-dict"

    def __init__(self, columns: int, threads: int, width: int = 1):
        super().__init__(
            properties={
                "columns": IntegerAttr(columns, i64),
                "threads": IntegerAttr(threads, i64),
                "width": IntegerAttr(width, i64),
            },
            result_types=[IndexType()],
        )

    def verify_(self) -> None:
        for name in ("columns", "threads", "width"):
            check_positive(getattr(self, name), name)

    @property
    def tiles(self) -> int:
        return -(-self.columns.value.data // (self.threads.value.data * self.width.value.data))


@irdl_op_definition
class FirstColumnOp(IRDLOperation):
    """The first column of lane number `lane`: `lane * width`.

    With `within C` the lane is moved back so that it ends inside: `min(lane * width, C - width)`;
    the columns that two lanes then share are computed twice, with the same result.
    """

    name = "sparsert.first_column"

    lane = operand_def(IndexType)
    width = prop_def(IntegerAttr.constr(i64))
    within = opt_prop_def(IntegerAttr.constr(i64))
    result = result_def(IndexType)

    traits = traits_def(Pure())

    assembly_format = "$lane `x` $width (`within` $within^)? attr-dict"

    def __init__(self, lane: SSAValue | Operation, width: int = 1, within: int | None = None):
        super().__init__(
            operands=[lane],
            properties={
                "width": IntegerAttr(width, i64),
                "within": None if within is None else IntegerAttr(within, i64),
            },
            result_types=[IndexType()],
        )

    def verify_(self) -> None:
        check_positive(self.width, "a width")
        if self.within is not None:
            width, within = self.width.value.data, self.within.value.data
            expect(width <= within, "a width of at most", within, width)


@irdl_op_definition
class LoadColumnsOp(IRDLOperation):
    """A lane from memory: adjacent elements of the last dimension, starting at the last index.

    Columns past the end of that dimension are not read; what stands for them is unspecified.
    """

    name = "sparsert.load_columns"

    memref = operand_def(MEMREF)
    indices = var_operand_def(IndexType)
    result = result_def(LANE)

    traits = traits_def(MemoryReadEffect())

    assembly_format = "$memref `[` $indices `]` attr-dict `:` type($memref) `,` type($result)"

    def __init__(
        self, memref: SSAValue | Operation, indices: Sequence[SSAValue | Operation], lane: Attribute
    ):
        super().__init__(operands=[memref, indices], result_types=[lane])

    def verify_(self) -> None:
        check_memory(self.memref, "a memref")
        check_lane(self.result.type)
        check_lane_of(self.result.type, self.memref)
        rank = cast(MemRefType[Attribute], self.memref.type).get_num_dims()
        expect(len(self.indices) == rank, "indices, in number,", rank, len(self.indices))


@irdl_op_definition
class StoreColumnsOp(IRDLOperation):
    """A lane to memory; columns past the end of the last dimension are not written."""

    name = "sparsert.store_columns"

    value = operand_def(LANE)
    memref = operand_def(MEMREF)
    indices = var_operand_def(IndexType)
    streaming = opt_prop_def(UnitAttr)

    traits = traits_def(MemoryWriteEffect())

    assembly_format = (
        "$value `,` $memref `[` $indices `]` (`streaming` $streaming^)? attr-dict"
        " `:` type($memref) `,` type($value)"
    )

    def __init__(
        self,
        value: SSAValue | Operation,
        memref: SSAValue | Operation,
        indices: Sequence[SSAValue | Operation],
        streaming: bool = False,
    ):
        super().__init__(
            operands=[value, memref, indices],
            properties={"streaming": UnitAttr() if streaming else None},
        )

    def verify_(self) -> None:
        check_memory(self.memref, "a memref")
        check_lane(self.value.type)
        check_lane_of(self.value.type, self.memref)
        rank = cast(MemRefType[Attribute], self.memref.type).get_num_dims()
        expect(len(self.indices) == rank, "indices, in number,", rank, len(self.indices))


@irdl_op_definition
class PanelProductOp(IRDLOperation):
    """The sums of one panel over one K group, for the columns of one lane; any panel, any group.

    `sums[r] = sum over k in [splits[panel][group], splits[panel][group + 1])
               of weight[panels[panel][r], k] * x[k, column...]`, in ascending order of k.
    Rows of -1 give 0. If lanes of f16 x are summed in f32, `fold` says how many products are first
    added in f16 (1: none).
    """

    name = "sparsert.panel_product"

    weight = operand_def(TENSOR)
    x = operand_def(MEMREF)
    column = operand_def(IndexType)
    panel = operand_def(IndexType)
    group = operand_def(IndexType)
    panels = prop_def(DENSE)
    splits = prop_def(DENSE)
    fold = opt_prop_def(IntegerAttr.constr(i64))
    sums = var_result_def(LANE)

    traits = traits_def(MemoryReadEffect())

    assembly_format = (
        "$weight `,` $x `[` $column `]` `panel` $panel `group` $group (`fold` $fold^)?"
        " `panels` $panels `splits` $splits attr-dict"
        " `:` type($weight) `,` type($x) `->` type($sums)"
    )

    def __init__(
        self,
        weight: SSAValue | Operation,
        x: SSAValue | Operation,
        column: SSAValue | Operation,
        panel: SSAValue | Operation,
        group: SSAValue | Operation,
        panels: Dense,
        splits: Dense,
        lane: Attribute,
        fold: int | None = None,
    ):
        super().__init__(
            operands=[weight, x, column, panel, group],
            properties={
                "panels": panels,
                "splits": splits,
                "fold": None if fold is None else IntegerAttr(fold, i64),
            },
            result_types=[[lane] * panels.get_shape()[1]],
        )

    def verify_(self) -> None:
        check_memory(self.x, "x", rank=2)
        weight = cast(TensorType[Attribute], self.weight.type)
        expect(weight.get_num_dims() == 2, "a weight of rank", 2, weight.get_num_dims())
        rows, columns = weight.get_shape()
        check_positive(self.fold, "fold")
        check_tiling(self.panels, self.splits, rows, columns)
        height = self.panels.get_shape()[1]
        expect(len(self.sums) == height, "sums, one per row of a panel:", height, len(self.sums))
        check_lanes(self.sums)


@irdl_op_definition
class AccumulateOp(IRDLOperation):
    """A run of multiply-adds with one known part of the pattern; the instructions are the matrix.

    `for i in order: sums[rows[i]] += values[i] * x[columns[i], column...]`, sums starting at 0.
    Equal neighbours in `columns` share one load of x. `fold` as in `panel_product`.
    """

    name = "sparsert.accumulate"

    x = operand_def(MEMREF)
    column = operand_def(IndexType)
    columns = prop_def(DENSE)
    rows = prop_def(DENSE)
    values = prop_def(DENSE)
    fold = opt_prop_def(IntegerAttr.constr(i64))
    sums = var_result_def(LANE)

    traits = traits_def(MemoryReadEffect())

    assembly_format = (
        "$x `[` $column `]` (`fold` $fold^)? `columns` $columns `rows` $rows `values` $values"
        " attr-dict `:` type($x) `->` type($sums)"
    )

    def __init__(
        self,
        x: SSAValue | Operation,
        column: SSAValue | Operation,
        columns: Dense,
        rows: Dense,
        values: Dense,
        lanes: Sequence[Attribute],
        fold: IntegerAttr | None = None,
    ):
        super().__init__(
            operands=[x, column],
            properties={"columns": columns, "rows": rows, "values": values, "fold": fold},
            result_types=[lanes],
        )

    def verify_(self) -> None:
        check_memory(self.x, "x", rank=2)
        check_positive(self.fold, "fold")
        check_run(self.columns, self.rows, self.values, len(self.sums))
        check_lanes(self.sums)
        limit = cast(MemRefType[Attribute], self.x.type).get_shape()[0]
        highest = int(to_numpy(self.columns).max(initial=-1))
        expect(highest < limit, "columns below", limit, highest)


def check_run(positions: Dense, rows: Dense, values: Dense, sum_count: int) -> None:
    """Verify the bulk attributes of a run of multiply-adds."""
    check_element_type(positions, "positions")
    check_element_type(rows, "rows")
    shape = values.get_shape()
    expect(len(shape) == 1, "values of rank", 1, len(shape))
    check_float_elements(values, "values")
    expect(
        positions.get_shape() == shape, "as many positions as values:", shape, positions.get_shape()
    )
    expect(rows.get_shape() == shape, "as many rows as values:", shape, rows.get_shape())
    if shape[0]:
        lowest = int(np.min(to_numpy(positions)))
        expect(lowest >= 0, "positions of at least", 0, lowest)
        numbers = to_numpy(rows)
        inside = int(numbers.min()) >= 0 and int(numbers.max()) < sum_count
        expect(inside, "rows in", f"[0, {sum_count})", f"[{numbers.min()}, {numbers.max()}]")


_EPILOGUE_FORMAT = (
    " (`bias` $bias^)? (`activation` $activation^)? (`residual` $residual^ `:` type($residual))?"
    " (`residual_after_activation` $residual_after_activation^)? (`streaming` $streaming^)?"
)


@irdl_op_definition
class WritePanelOp(IRDLOperation):
    """Write one panel's sums to y through the epilogue; any panel. Rows of -1 are not written.

    `y[panels[panel][r], column...] = activation(sums[r] + bias[row] + residual[row, column...])`,
    converted to the element type of y last. `bias` has one number for each row of y.
    """

    name = "sparsert.write_panel"

    y = operand_def(MEMREF)
    column = operand_def(IndexType)
    panel = operand_def(IndexType)
    residual = opt_operand_def(MEMREF)
    sums = var_operand_def(LANE)
    panels = prop_def(DENSE)
    bias = opt_prop_def(DENSE)
    activation = opt_prop_def(ActivationAttr)
    residual_after_activation = opt_prop_def(UnitAttr)
    streaming = opt_prop_def(UnitAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    assembly_format = (
        "$sums `to` $y `[` $column `]` `panel` $panel `panels` $panels"
        + _EPILOGUE_FORMAT
        + " attr-dict `:` type($sums) `->` type($y)"
    )

    def __init__(
        self,
        sums: Sequence[SSAValue],
        y: SSAValue | Operation,
        column: SSAValue | Operation,
        panel: SSAValue | Operation,
        panels: Dense,
        *,
        bias: Dense | None = None,
        activation: ActivationAttr | None = None,
        residual: SSAValue | None = None,
        residual_after_activation: UnitAttr | None = None,
        streaming: bool = False,
    ):
        super().__init__(
            operands=[y, column, panel, residual, sums],
            properties={
                "panels": panels,
                "bias": bias,
                "activation": activation,
                "residual_after_activation": residual_after_activation,
                "streaming": UnitAttr() if streaming else None,
            },
        )

    def verify_(self) -> None:
        check_memory(self.y, "y", rank=2)
        check_float_elements(self.bias, "bias")
        check_element_type(self.panels, "panels")
        expect(len(self.panels.get_shape()) == 2, "panels of rank", 2, len(self.panels.get_shape()))
        height = self.panels.get_shape()[1]
        expect(len(self.sums) == height, "sums, one per row of a panel:", height, len(self.sums))
        check_lanes(self.sums)
        if self.residual is not None:
            expect(
                self.residual.type == self.y.type,
                "a residual of type",
                self.y.type,
                self.residual.type,
            )
        if self.bias is not None:
            shape = cast(MemRefType[Attribute], self.y.type).get_shape()[:1]
            expect(self.bias.get_shape() == shape, "bias of shape", shape, self.bias.get_shape())


@irdl_op_definition
class WriteRowsOp(IRDLOperation):
    """`write_panel` for known rows: sum r goes to row `rows[r]` of y, with `bias[r]` added."""

    name = "sparsert.write_rows"

    y = operand_def(MEMREF)
    column = operand_def(IndexType)
    residual = opt_operand_def(MEMREF)
    sums = var_operand_def(LANE)
    rows = prop_def(DENSE)
    bias = opt_prop_def(DENSE)
    activation = opt_prop_def(ActivationAttr)
    residual_after_activation = opt_prop_def(UnitAttr)
    streaming = opt_prop_def(UnitAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    assembly_format = (
        "$sums `to` $y `[` $column `]` `rows` $rows"
        + _EPILOGUE_FORMAT
        + " attr-dict `:` type($sums) `->` type($y)"
    )

    def __init__(
        self,
        sums: Sequence[SSAValue],
        y: SSAValue,
        column: SSAValue,
        residual: SSAValue | None,
        properties: dict[str, Attribute | None],
    ):
        super().__init__(operands=[y, column, residual, sums], properties=properties)

    def verify_(self) -> None:
        check_memory(self.y, "y", rank=2)
        check_float_elements(self.bias, "bias")
        check_element_type(self.rows, "rows")
        expect(
            self.rows.get_shape() == (len(self.sums),),
            "rows of shape",
            (len(self.sums),),
            self.rows.get_shape(),
        )
        check_lanes(self.sums)
        y_rows = cast(MemRefType[Attribute], self.y.type).get_shape()[0]
        highest = int(to_numpy(self.rows).max(initial=-1))
        expect(highest < y_rows, "rows below", y_rows, highest)
        if self.bias is not None:
            expect(
                self.bias.get_shape() == (len(self.sums),),
                "bias of shape",
                (len(self.sums),),
                self.bias.get_shape(),
            )
