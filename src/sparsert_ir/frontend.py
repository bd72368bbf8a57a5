"""Tensor-level IR of one layer, built from Python."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
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
from sparsert_ir.schedules.knobs import Kind
from sparsert_ir.window import Window

ELEMENT_TYPES: dict[str, AnyFloat] = {"f32": f32, "f16": f16, "bf16": bf16}
"""Element types of x, the weight and y."""


@dataclass(frozen=True, eq=False)
class Depthwise:
    """A convolution of each channel by itself, `activation(matrix @ x + bias)`, x read through the
    layer's window; bias as of `Layer`.
    """

    matrix: SparseMatrix
    bias: Array | None = None
    activation: Literal["relu"] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """`y = activation(matrix @ x + bias + residual)` with x of `columns` columns.

    window:   how x is read as a matrix where it is a batch of images (a convolution); `columns` are
              its columns.
    depthwise: what x goes through first; the window is then its own, and the matrix is multiplied
              with each pixel of its result.
    bias:     M numbers or None, in float32.
    residual: "none", or "before" or "after" the activation.
    """

    matrix: SparseMatrix
    columns: int
    window: Window | None = None
    depthwise: Depthwise | None = None
    bias: Array | None = None
    activation: Literal["relu"] | None = None
    residual: Literal["none", "before", "after"] = "none"
    dtype: Dtype = "f32"
    schedule: Schedule | None = None
    name: str = "spmm"

    @property
    def kind(self) -> Kind:
        """What is computed, as far as the knobs of a schedule depend on it."""
        if self.depthwise is not None:
            return "separable"
        return "product" if self.window is None else "convolution"


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
    x, window, axis = arguments[0], layer.window, 0
    if window is not None:
        axis = window.channel_axis
        if layer.depthwise is not None:
            x = _write_depthwise(code, layer.depthwise, x, window, dtype)
            window = window.result(layer.depthwise.matrix.shape[0])
    weight = code.insert(constant_of(layer.matrix.astype(dtype)))
    weight.name_hint = "weight"
    schedule = None if layer.schedule is None else ScheduleAttr(layer.schedule)
    if window is None:
        y = code.insert(SpmmOp(weight, x, schedule=schedule))
    else:
        y = code.insert(Conv2dOp(weight, x, WindowAttr(window), schedule=schedule))
    y = _write_bias(code, y, layer.bias, axis, dtype)
    if layer.residual == "before":
        y = code.insert(ResidualAddOp(y, arguments[1]))
    if layer.activation == "relu":
        y = code.insert(ReluOp(y))
    if layer.residual == "after":
        y = code.insert(ResidualAddOp(y, arguments[1]))
    return y


def _write_depthwise(
    code: Code, depthwise: Depthwise, x: SSAValue, window: Window, dtype: np.dtype[Any]
) -> SSAValue:
    weight = code.insert(constant_of(depthwise.matrix.astype(dtype)))
    weight.name_hint = "depthwise"
    y = code.insert(Conv2dOp(weight, x, WindowAttr(window)))
    y = _write_bias(code, y, depthwise.bias, window.channel_axis, dtype)
    return code.insert(ReluOp(y)) if depthwise.activation == "relu" else y


def _write_bias(
    code: Code, y: SSAValue, bias: Array | None, axis: int, dtype: np.dtype[Any]
) -> SSAValue:
    if bias is None:
        return y
    return code.insert(BiasAddOp(y, code.insert(arith.ConstantOp(to_dense(bias, dtype))), axis))
