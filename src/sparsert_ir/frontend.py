"""Tensor-level IR of one layer, built from Python."""

from dataclasses import dataclass
from typing import Literal

from xdsl.dialects import arith, func
from xdsl.dialects.builtin import AnyFloat, ModuleOp, TensorType, bf16, f16, f32
from xdsl.ir import Attribute, Block, Region, SSAValue

from sparsert_ir.building import Code
from sparsert_ir.dense import Array, to_dense
from sparsert_ir.dialects.sparsert import (
    BiasAddOp,
    ConstantOp,
    Conv2dOp,
    ReluOp,
    ResidualAddOp,
    ScheduleAttr,
    SpmmOp,
    WindowAttr,
)
from sparsert_ir.element_types import Dtype, numpy_type
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule
from sparsert_ir.window import Window

ELEMENT_TYPES: dict[str, AnyFloat] = {"f32": f32, "f16": f16, "bf16": bf16}
"""Element types of x, the weight and y."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """`y = activation(matrix @ x + bias + residual)` with x of `columns` columns.

    window:   how x is read as a matrix where it is a batch of images (a convolution); `columns` are
              its columns.
    bias:     M numbers or None, in float32.
    residual: "none", or "before" or "after" the activation.
    """

    matrix: SparseMatrix
    columns: int
    window: Window | None = None
    bias: Array | None = None
    activation: Literal["relu"] | None = None
    residual: Literal["none", "before", "after"] = "none"
    dtype: Dtype = "f32"
    schedule: Schedule | None = None
    name: str = "spmm"


def constant_of(matrix: SparseMatrix) -> ConstantOp:
    """The matrix as `sparsert.constant`."""
    return ConstantOp(
        to_dense(matrix.row_offsets),
        to_dense(matrix.column_indices),
        to_dense(matrix.values),
        matrix.shape,
    )


def build_module(layer: Layer) -> ModuleOp:
    """A module with the function `@name(x[, residual]) -> y`, its epilogue not yet fused."""
    element_type = ELEMENT_TYPES[layer.dtype]
    x_shape, y_shape = array_shapes(layer)
    x_type, y_type = TensorType(element_type, x_shape), TensorType(element_type, y_shape)
    inputs: list[Attribute] = [x_type] if layer.residual == "none" else [x_type, y_type]
    block = Block(arg_types=inputs)
    for argument, name in zip(block.args, ("x", "residual"), strict=False):
        argument.name_hint = name
    code = Code(block)
    code.do(func.ReturnOp(_write_layer(code, layer, list(block.args))))
    return ModuleOp([func.FuncOp(layer.name, (inputs, [y_type]), Region(block))])


def array_shapes(layer: Layer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of x and of y."""
    rows, depth = layer.matrix.shape
    if layer.window is None:
        return (depth, layer.columns), (rows, layer.columns)
    return layer.window.array_shape, layer.window.result(rows).array_shape


def _write_layer(code: Code, layer: Layer, arguments: list[SSAValue]) -> SSAValue:
    dtype = numpy_type(layer.dtype)
    weight = code.insert(constant_of(layer.matrix.astype(dtype)))
    weight.name_hint = "weight"
    schedule = None if layer.schedule is None else ScheduleAttr(layer.schedule)
    x, axis = arguments[0], 0
    if layer.window is None:
        y = code.insert(SpmmOp(weight, x, schedule=schedule))
    else:
        y = code.insert(Conv2dOp(weight, x, WindowAttr(layer.window), schedule=schedule))
        axis = layer.window.channel_axis
    if layer.bias is not None:
        bias = code.insert(arith.ConstantOp(to_dense(layer.bias, dtype)))
        y = code.insert(BiasAddOp(y, bias, axis))
    if layer.residual == "before":
        y = code.insert(ResidualAddOp(y, arguments[1]))
    if layer.activation == "relu":
        y = code.insert(ReluOp(y))
    if layer.residual == "after":
        y = code.insert(ResidualAddOp(y, arguments[1]))
    return y
