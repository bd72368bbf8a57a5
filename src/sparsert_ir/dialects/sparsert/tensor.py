"""Tensor level of the `sparsert` dialect."""

from abc import ABC
from typing import ClassVar, TypeAlias, TypedDict, Unpack, cast

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, NoneAttr, TensorType, UnitAttr, f32, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure

from sparsert_ir.dense import Array, Dense, to_numpy
from sparsert_ir.dialects.sparsert.attributes import (
    ActivationAttr,
    CSRAttr,
    ScheduleAttr,
    WindowAttr,
)
from sparsert_ir.dialects.sparsert.checks import (
    DENSE,
    TENSOR,
    check_element_type,
    check_float,
    check_sizes,
    expect,
)


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A sparse matrix known at compile time, in CSR: all of its pattern and values, in bulk."""

    name = "sparsert.constant"

    row_offsets = prop_def(DENSE)
    column_indices = prop_def(DENSE)
    values = prop_def(DENSE)
    result = result_def(TENSOR)

    traits = traits_def(Pure())

    assembly_format = (
        "`row_offsets` $row_offsets `column_indices` $column_indices `values` $values"
        " attr-dict `:` type($result)"
    )

    def __init__(self, offsets: Dense, indices: Dense, values: Dense, shape: tuple[int, int]):
        element_type = cast(Attribute, values.get_element_type())
        super().__init__(
            properties={"row_offsets": offsets, "column_indices": indices, "values": values},
            result_types=[TensorType(element_type, shape, CSRAttr())],
        )

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.result.type.get_shape()
        return rows, columns

    def arrays(self) -> tuple[Array, Array, Array]:
        """Row offsets, column indices and values as read-only numpy arrays."""
        return to_numpy(self.row_offsets), to_numpy(self.column_indices), to_numpy(self.values)

    def verify_(self) -> None:
        kind = self.result.type
        expect(kind.encoding == CSRAttr(), "a result encoded as", "#sparsert.csr", kind)
        expect(len(kind.get_shape()) == 2, "a matrix of rank", 2, len(kind.get_shape()))
        check_element_type(self.row_offsets, "row_offsets")
        check_element_type(self.column_indices, "column_indices")
        got = cast(Attribute, self.values.get_element_type())
        expect(got == kind.element_type, "values of element type", kind.element_type, got)
        check_float(got, "values")
        offsets, indices, values = self.arrays()
        check_sizes(self.shape, "a matrix")
        rows, columns = self.shape
        expect(offsets.shape == (rows + 1,), "row offsets, in number,", rows + 1, offsets.size)
        expect(
            indices.shape == values.shape, "as many values as indices:", indices.size, values.size
        )
        expect(int(offsets[0]) == 0, "the first row offset to be", 0, int(offsets[0]))
        expect(
            int(offsets[-1]) == values.size, "the last row offset", values.size, int(offsets[-1])
        )
        expect(bool((np.diff(offsets) >= 0).all()), "row offsets", "ascending", "others")
        if not indices.size:
            return
        low, high = int(indices.min()), int(indices.max())
        expect(
            low >= 0 and high < columns, "column indices in", f"[0, {columns})", f"[{low}, {high}]"
        )
        ascending = np.diff(indices) > 0
        starts = offsets[(offsets > 0) & (offsets < indices.size)]
        ascending[starts - 1] = True
        expect(
            bool(ascending.all()), "column indices of each row", "ascending, each once", "others"
        )


def check_product(
    weight: TensorType[Attribute],
    x: TensorType[Attribute],
    y: Attribute,
    window: WindowAttr | None = None,
) -> None:
    expect(weight.encoding == CSRAttr(), "a weight encoded as", "#sparsert.csr", weight)
    expect(weight.get_num_dims() == 2, "a weight of rank", 2, weight.get_num_dims())
    check_float(weight.element_type, "a weight")
    check_sizes(weight.get_shape(), "a weight")
    check_sizes(x.get_shape(), "x")
    expect(weight.element_type == x.element_type, "x of element type", weight.element_type, x)
    expect(isinstance(x.encoding, NoneAttr), "x that is", "dense, with no encoding", x)
    if window is not None:
        _check_convolution(weight, x, y, window)
        return
    expect(x.get_num_dims() == 2, "x of rank", 2, x.get_num_dims())
    (m, k), (k_of_x, n) = weight.get_shape(), x.get_shape()
    expect(k == k_of_x, f"x with {k} rows, the weight's columns, not", k, k_of_x)
    expected = TensorType(weight.element_type, [m, n])
    expect(y == expected, "a result of type", expected, y)


def _check_convolution(
    weight: TensorType[Attribute], x: TensorType[Attribute], y: Attribute, window: WindowAttr
) -> None:
    shape, images = window.data.array_shape, x.get_shape()
    expect(images == shape, "x of the window's shape", shape, images)
    k = weight.get_shape()[1]
    expect(k == window.data.depth, "a weight of as many columns as taps,", window.data.depth, k)
    expected = image_type(weight, window)
    expect(y == expected, "a result of type", expected, y)


def check_epilogue(
    bias: Dense | None, residual: SSAValue | None, row_count: int, y: Attribute
) -> None:
    if bias is not None:
        element_type = cast(TensorType[Attribute], y).element_type
        got = cast(Attribute, bias.get_element_type())
        expect(got in (element_type, f32), "bias of element type", f"{element_type} (or f32)", got)
        expect(bias.get_shape() == (row_count,), "bias of shape", (row_count,), bias.get_shape())
    if residual is not None:
        expect(residual.type == y, "a residual of type", y, residual.type)


class Epilogue(TypedDict, total=False):
    """What is done with the elements of a product, and the schedule that it is given."""

    bias: Dense | None
    activation: ActivationAttr | None
    residual: SSAValue | Operation | None
    residual_after_activation: bool
    schedule: ScheduleAttr | None


def epilogue_properties(epilogue: Epilogue) -> dict[str, Attribute | None]:
    """All but the residual, which is an operand."""
    after = epilogue.get("residual_after_activation", False)
    return {
        "bias": epilogue.get("bias"),
        "activation": epilogue.get("activation"),
        "residual_after_activation": UnitAttr() if after else None,
        "schedule": epilogue.get("schedule"),
    }


def image_type(weight: TensorType[Attribute], window: WindowAttr) -> TensorType[Attribute]:
    """Of the batch of images that a convolution makes."""
    shape = window.data.result(weight.get_shape()[0]).array_shape
    return TensorType(weight.element_type, shape)


class SparseProductOp(IRDLOperation, ABC):
    """What the products of a sparse `weight` have in common. The operands of one that has more
    come before these.
    """

    weight = operand_def(TENSOR)
    x = operand_def(TENSOR)
    residual = opt_operand_def(TENSOR)
    bias = opt_prop_def(DENSE)
    activation = opt_prop_def(ActivationAttr)
    residual_after_activation = opt_prop_def(UnitAttr)
    schedule = opt_prop_def(ScheduleAttr)
    result = result_def(TENSOR)

    traits = traits_def(Pure())

    def check_epilogue(self) -> None:
        rows = cast(TensorType[Attribute], self.weight.type).get_shape()[0]
        check_epilogue(self.bias, self.residual, rows, self.result.type)


OPERANDS_FORMAT = "$weight `,` $x"
EPILOGUE_FORMAT = (
    " (`bias` $bias^)? (`activation` $activation^)? (`residual` $residual^"
    " `:` type($residual))? (`residual_after_activation` $residual_after_activation^)?"
)


@irdl_op_definition
class SpmmOp(SparseProductOp):
    """`result = activation(weight @ x + bias + residual)`, the epilogue being optional.

    With `residual_after_activation` the residual is added last, as in MobileNetV2.
    """

    name = "sparsert.spmm"

    assembly_format = (
        OPERANDS_FORMAT + EPILOGUE_FORMAT + " (`schedule` $schedule^)? attr-dict"
        " `:` type($weight) `,` type($x) `->` type($result)"
    )

    def __init__(
        self,
        weight: SSAValue | Operation,
        x: SSAValue | Operation,
        **epilogue: Unpack[Epilogue],
    ):
        weight, x = SSAValue.get(weight), SSAValue.get(x)
        weight_type = cast(TensorType[Attribute], weight.type)
        x_type = cast(TensorType[Attribute], x.type)
        shape = [weight_type.get_shape()[0], x_type.get_shape()[1]]
        super().__init__(
            operands=[weight, x, epilogue.get("residual")],
            properties=epilogue_properties(epilogue),
            result_types=[TensorType(weight_type.element_type, shape)],
        )

    def verify_(self) -> None:
        weight = cast(TensorType[Attribute], self.weight.type)
        check_product(weight, cast(TensorType[Attribute], self.x.type), self.result.type)
        self.check_epilogue()


@irdl_op_definition
class Conv2dOp(SparseProductOp):
    """`sparsert.spmm` whose x is read through a window from a batch of images (see `WindowAttr`):
    a convolution. The result is the matrix product as a batch of images in the window's layout.

    What lies outside an image is not read and counts as 0.
    """

    name = "sparsert.conv2d"

    window = prop_def(WindowAttr)

    assembly_format = (
        OPERANDS_FORMAT + " `window` $window" + EPILOGUE_FORMAT + " (`schedule` $schedule^)?"
        " attr-dict `:` type($weight) `,` type($x) `->` type($result)"
    )

    def __init__(
        self,
        weight: SSAValue | Operation,
        x: SSAValue | Operation,
        window: WindowAttr,
        **epilogue: Unpack[Epilogue],
    ):
        weight = SSAValue.get(weight)
        weight_type = cast(TensorType[Attribute], weight.type)
        super().__init__(
            operands=[weight, x, epilogue.get("residual")],
            properties={"window": window, **epilogue_properties(epilogue)},
            result_types=[image_type(weight_type, window)],
        )

    def verify_(self) -> None:
        weight = cast(TensorType[Attribute], self.weight.type)
        x = cast(TensorType[Attribute], self.x.type)
        check_product(weight, x, self.result.type, self.window)
        self.check_epilogue()


Product: TypeAlias = SpmmOp | Conv2dOp
"""A product with a sparse matrix and its epilogue."""


@irdl_op_definition
class BiasAddOp(IRDLOperation):
    """Add `bias[i]` to all elements that have index i along dimension `axis` (0 if not given)."""

    name = "sparsert.bias_add"

    T: ClassVar = VarConstraint("T", TENSOR)

    input = operand_def(T)
    bias = operand_def(TENSOR)
    axis = opt_prop_def(IntegerAttr.constr(i64))
    result = result_def(T)

    traits = traits_def(Pure())

    assembly_format = (
        "$input `,` $bias (`axis` $axis^)? attr-dict `:` type($result) `,` type($bias)"
    )

    def __init__(self, operand: SSAValue | Operation, bias: SSAValue | Operation, axis: int = 0):
        super().__init__(
            operands=[operand, bias],
            properties={"axis": IntegerAttr(axis, i64) if axis else None},
            result_types=[SSAValue.get(operand).type],
        )

    @property
    def dimension(self) -> int:
        """The dimension along which the bias changes."""
        return 0 if self.axis is None else self.axis.value.data

    def verify_(self) -> None:
        kind = cast(TensorType[Attribute], self.input.type)
        check_float(kind.element_type, "an input")
        rank, axis = kind.get_num_dims(), self.dimension
        expect(0 <= axis < rank, "axis in", f"[0, {rank})", axis)
        expected = TensorType(kind.element_type, [kind.get_shape()[axis]])
        expect(self.bias.type == expected, "a bias of type", expected, self.bias.type)


@irdl_op_definition
class ReluOp(IRDLOperation):
    """`result = max(input, 0)`, element by element; NaN stays NaN."""

    name = "sparsert.relu"

    T: ClassVar = VarConstraint("T", TENSOR)

    input = operand_def(T)
    result = result_def(T)

    traits = traits_def(Pure())

    assembly_format = "$input attr-dict `:` type($result)"

    def __init__(self, operand: SSAValue | Operation):
        super().__init__(operands=[operand], result_types=[SSAValue.get(operand).type])

    def verify_(self) -> None:
        check_float(cast(TensorType[Attribute], self.input.type).element_type, "an input")


@irdl_op_definition
class ResidualAddOp(IRDLOperation):
    """`result = input + residual`, element by element."""

    name = "sparsert.residual_add"

    T: ClassVar = VarConstraint("T", TENSOR)

    input = operand_def(T)
    residual = operand_def(T)
    result = result_def(T)

    traits = traits_def(Pure())

    assembly_format = "$input `,` $residual attr-dict `:` type($result)"

    def __init__(self, operand: SSAValue | Operation, residual: SSAValue | Operation):
        super().__init__(operands=[operand, residual], result_types=[SSAValue.get(operand).type])

    def verify_(self) -> None:
        check_float(cast(TensorType[Attribute], self.input.type).element_type, "an input")
