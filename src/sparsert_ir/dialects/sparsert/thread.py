"""Thread level of the `sparsert` dialect: what one GPU thread or one SIMD loop body does.

A *lane* is what the thread holds of one row: a number, or a vector of adjacent columns.
In a kernel a lane starts inside the last dimension of the memref, at a multiple of its width, and
columns past the end are not touched. In host code a lane starts anywhere and ends inside.

With a `window` an operation takes an array of images for a matrix (see `WindowAttr`): rows and
columns are the window's, elements outside an image are not touched and are read as 0. The window
of a result is that of a 1x1 filter.
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
from sparsert_ir.dialects.sparsert.attributes import ActivationAttr, WindowAttr
from sparsert_ir.dialects.sparsert.checks import (
    DENSE,
    LANE,
    MEMREF,
    TENSOR,
    check_element_type,
    check_float,
    check_float_elements,
    check_fold,
    check_initial,
    check_lane,
    check_lane_of,
    check_memory,
    check_positive,
    check_sums,
    check_targets,
    check_tiling,
    expect,
)
from sparsert_ir.dialects.sparsert.tensor import ConstantOp


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
    window = opt_prop_def(WindowAttr)
    result = result_def(LANE)

    traits = traits_def(MemoryReadEffect())

    assembly_format = (
        "$memref `[` $indices `]` (`window` $window^)? attr-dict"
        " `:` type($memref) `,` type($result)"
    )

    def __init__(
        self,
        memref: SSAValue | Operation,
        indices: Sequence[SSAValue | Operation],
        lane: Attribute,
        window: WindowAttr | None = None,
    ):
        super().__init__(
            operands=[memref, indices], properties={"window": window}, result_types=[lane]
        )

    def verify_(self) -> None:
        _check_indices(self.memref, len(self.indices), self.window)
        check_lane(self.result.type)
        check_lane_of(self.result.type, self.memref)


@irdl_op_definition
class StoreColumnsOp(IRDLOperation):
    """A lane to memory; columns past the end of the last dimension are not written."""

    name = "sparsert.store_columns"

    value = operand_def(LANE)
    memref = operand_def(MEMREF)
    indices = var_operand_def(IndexType)
    window = opt_prop_def(WindowAttr)
    streaming = opt_prop_def(UnitAttr)

    traits = traits_def(MemoryWriteEffect())

    assembly_format = (
        "$value `,` $memref `[` $indices `]` (`window` $window^)? (`streaming` $streaming^)?"
        " attr-dict `:` type($memref) `,` type($value)"
    )

    def __init__(
        self,
        value: SSAValue | Operation,
        memref: SSAValue | Operation,
        indices: Sequence[SSAValue | Operation],
        streaming: bool = False,
        window: WindowAttr | None = None,
    ):
        super().__init__(
            operands=[value, memref, indices],
            properties={"window": window, "streaming": UnitAttr() if streaming else None},
        )

    def verify_(self) -> None:
        _check_indices(self.memref, len(self.indices), self.window)
        check_lane(self.value.type)
        check_lane_of(self.value.type, self.memref)


def _check_indices(buffer: SSAValue, given: int, window: WindowAttr | None) -> None:
    """One index for each dimension; with a window the row and the column."""
    check_memory(buffer, "a memref")
    kind = cast(MemRefType[Attribute], buffer.type)
    rank = kind.get_num_dims() if window is None else 2
    expect(given == rank, "indices, in number,", rank, given)
    _check_window(kind, window)


def _check_matrix(buffer: SSAValue, what: str, window: WindowAttr | None, lowest_rank: int) -> None:
    """Memory that is taken for a matrix of floats: of two dimensions (or one), or images with a
    window.
    """
    check_memory(buffer, what, lowest_rank)
    kind = cast(MemRefType[Attribute], buffer.type)
    check_float(kind.element_type, what)
    _check_window(kind, window)
    if window is None:
        expect(kind.get_num_dims() <= 2, f"{what} without a window of rank", 2, kind)


def _check_rows_of_x(x: SSAValue, window: WindowAttr | None, highest: int, what: str) -> None:
    """Verify that a product reads no rows (or elements, of a flat x) past the end."""
    kind = cast(MemRefType[Attribute], x.type)
    limit = kind.get_shape()[0] if window is None else window.data.depth
    expect(highest < limit, f"{what} below", limit, highest)


def _check_window(kind: MemRefType[Attribute], window: WindowAttr | None) -> None:
    """A memref that is read or written through a window has the window's shape."""
    if window is not None:
        shape = window.data.array_shape
        expect(kind.get_shape() == shape, "a memref of the window's shape", shape, kind.get_shape())


def _check_written(
    y: SSAValue, residual: SSAValue | None, window: WindowAttr | None
) -> tuple[int, ...]:
    """Verify y and what is added to it; returns M, the rows of y, as a shape."""
    _check_matrix(y, "y", window, 2)
    kind = cast(MemRefType[Attribute], y.type)
    if residual is not None:
        expect(residual.type == y.type, "a residual of type", y.type, residual.type)
    if window is None:
        return kind.get_shape()[:1]
    expect(window.data.is_pointwise, "the window of a result", "of a 1x1 filter", window.data)
    return (window.data.depth,)


@irdl_op_definition
class PanelProductOp(IRDLOperation):
    """The sums of one panel over one K group, for the columns of one lane; any panel, any group.

    `sums[r] = sum over k in [splits[panel][group], splits[panel][group + 1])
               of weight[panels[panel][r], k] * x[k, column...]`, in ascending order of k.
    Rows of -1 give 0. If lanes of f16 x are summed in f32, `fold` says how many products are first
    added in f16 (1: none). With `positions`, x holds other rows, or rows elsewhere: one number for
    each nonzero of the weight, in its order. Where x has one dimension, `x[k, column...]` is then
    `x[position + column...]`, else it is `x[position, column...]`.

    `from` are sums of the panel to go on from, instead of 0. `tile` is the first of the columns
    that the block computes together, where `sparsert-stage-x` is to stage them.
    """

    name = "sparsert.panel_product"

    weight = operand_def(TENSOR)
    x = operand_def(MEMREF)
    column = operand_def(IndexType)
    panel = operand_def(IndexType)
    group = operand_def(IndexType)
    tile = opt_operand_def(IndexType)
    initial = var_operand_def(LANE)
    panels = prop_def(DENSE)
    splits = prop_def(DENSE)
    fold = opt_prop_def(IntegerAttr.constr(i64))
    window = opt_prop_def(WindowAttr)
    positions = opt_prop_def(DENSE)
    sums = var_result_def(LANE)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect())

    assembly_format = (
        "$weight `,` $x `[` $column `]` (`tile` $tile^)? (`window` $window^)?"
        " (`positions` $positions^)? `panel` $panel `group` $group"
        " (`from` $initial^ `:` type($initial))? (`fold` $fold^)?"
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
        window: WindowAttr | None = None,
        positions: Dense | None = None,
        tile: SSAValue | None = None,
        initial: Sequence[SSAValue] = (),
    ):
        super().__init__(
            operands=[weight, x, column, panel, group, tile, initial],
            properties={
                "window": window,
                "positions": positions,
                "panels": panels,
                "splits": splits,
                "fold": None if fold is None else IntegerAttr(fold, i64),
            },
            result_types=[[lane] * panels.get_shape()[1]],
        )

    def verify_(self) -> None:
        _check_matrix(self.x, "x", self.window, 2 if self.positions is None else 1)
        check_initial(self.initial, self.sums)
        weight = cast(TensorType[Attribute], self.weight.type)
        expect(weight.get_num_dims() == 2, "a weight of rank", 2, weight.get_num_dims())
        rows, columns = weight.get_shape()
        check_fold(self.fold, cast(MemRefType[Attribute], self.x.type).element_type)
        check_tiling(self.panels, self.splits, rows, columns)
        height = self.panels.get_shape()[1]
        expect(len(self.sums) == height, "sums, one per row of a panel:", height, len(self.sums))
        check_sums(self.sums)
        if self.positions is None:
            _check_rows_of_x(self.x, self.window, columns - 1, "columns")
        else:
            self._check_positions(self.positions)

    def _check_positions(self, positions: Dense) -> None:
        expect(self.window is None, "positions without", "a window", "one")
        rank = len(positions.get_shape())
        expect(rank == 1, "positions of rank", 1, rank)
        check_element_type(positions, "positions")
        lowest = int(to_numpy(positions).min(initial=0))
        expect(lowest >= 0, "positions of at least", 0, lowest)
        if isinstance(self.weight.owner, ConstantOp):
            nonzeros, given = self.weight.owner.values.get_shape(), positions.get_shape()
            expect(given == nonzeros, "as many positions as values:", nonzeros, given)
        highest = int(to_numpy(positions).max(initial=-1))
        _check_rows_of_x(self.x, None, highest, "positions")


@irdl_op_definition
class AccumulateOp(IRDLOperation):
    """A run of multiply-adds with one known part of the pattern; the instructions are the matrix.

    `for i in order: sums[rows[i]] += values[i] * x[columns[i], column...]`, sums starting at 0 or
    at `from`.
    Equal neighbours in `columns` share one load of x. `fold` as in `panel_product`. Where x has one
    dimension, `x[k, column...]` is `x[k + column...]`.
    """

    name = "sparsert.accumulate"

    x = operand_def(MEMREF)
    column = operand_def(IndexType)
    initial = var_operand_def(LANE)
    columns = prop_def(DENSE)
    rows = prop_def(DENSE)
    values = prop_def(DENSE)
    fold = opt_prop_def(IntegerAttr.constr(i64))
    window = opt_prop_def(WindowAttr)
    sums = var_result_def(LANE)

    traits = traits_def(MemoryReadEffect())

    assembly_format = (
        "$x `[` $column `]` (`window` $window^)? (`from` $initial^ `:` type($initial))?"
        " (`fold` $fold^)? `columns` $columns `rows` $rows `values` $values"
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
        window: WindowAttr | None = None,
        initial: Sequence[SSAValue] = (),
    ):
        super().__init__(
            operands=[x, column, initial],
            properties={
                "columns": columns,
                "rows": rows,
                "values": values,
                "fold": fold,
                "window": window,
            },
            result_types=[lanes],
        )

    def verify_(self) -> None:
        _check_matrix(self.x, "x", self.window, 1)
        check_fold(self.fold, cast(MemRefType[Attribute], self.x.type).element_type)
        check_run(self.columns, self.rows, self.values, len(self.sums))
        check_sums(self.sums)
        check_initial(self.initial, self.sums)
        highest = int(to_numpy(self.columns).max(initial=-1))
        _check_rows_of_x(self.x, self.window, highest, "columns")


def check_run(
    positions: Dense, rows: Dense, values: Dense, sum_count: int, nonnegative: bool = True
) -> None:
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
        expect(lowest >= 0 or not nonnegative, "positions of at least", 0, lowest)
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
    window = opt_prop_def(WindowAttr)
    activation = opt_prop_def(ActivationAttr)
    residual_after_activation = opt_prop_def(UnitAttr)
    streaming = opt_prop_def(UnitAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    assembly_format = (
        "$sums `to` $y `[` $column `]` (`window` $window^)? `panel` $panel `panels` $panels"
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
        window: WindowAttr | None = None,
    ):
        super().__init__(
            operands=[y, column, panel, residual, sums],
            properties={
                "window": window,
                "panels": panels,
                "bias": bias,
                "activation": activation,
                "residual_after_activation": residual_after_activation,
                "streaming": UnitAttr() if streaming else None,
            },
        )

    def verify_(self) -> None:
        shape = _check_written(self.y, self.residual, self.window)
        check_float_elements(self.bias, "bias")
        check_targets(self.panels, "rows")
        expect(len(self.panels.get_shape()) == 2, "panels of rank", 2, len(self.panels.get_shape()))
        height = self.panels.get_shape()[1]
        expect(len(self.sums) == height, "sums, one per row of a panel:", height, len(self.sums))
        check_sums(self.sums)
        highest = int(to_numpy(self.panels).max(initial=-1))
        expect(highest < shape[0], "rows below", shape[0], highest)
        if self.bias is not None:
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
    window = opt_prop_def(WindowAttr)
    activation = opt_prop_def(ActivationAttr)
    residual_after_activation = opt_prop_def(UnitAttr)
    streaming = opt_prop_def(UnitAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    assembly_format = (
        "$sums `to` $y `[` $column `]` (`window` $window^)? `rows` $rows"
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
        (y_rows,) = _check_written(self.y, self.residual, self.window)
        check_float_elements(self.bias, "bias")
        check_targets(self.rows, "rows")
        expect(
            self.rows.get_shape() == (len(self.sums),),
            "rows of shape",
            (len(self.sums),),
            self.rows.get_shape(),
        )
        check_sums(self.sums)
        highest = int(to_numpy(self.rows).max(initial=-1))
        expect(highest < y_rows, "rows below", y_rows, highest)
        if self.bias is not None:
            expect(
                self.bias.get_shape() == (len(self.sums),),
                "bias of shape",
                (len(self.sums),),
                self.bias.get_shape(),
            )
