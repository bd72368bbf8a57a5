"""`linalg` and `tensor` on tensors: what `sparsert-import-linalg` reads and what it leaves."""

from collections.abc import Mapping
from math import prod
from typing import TypeAlias, cast

import numpy as np
from xdsl.dialects import tensor
from xdsl.dialects.builtin import TensorType
from xdsl.dialects.linalg import ops as linalg
from xdsl.ir import Attribute, Operation
from xdsl.ir.affine import AffineMap

from sparsert_ir.dense import Array
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.memory import element_dtype, poisoned
from sparsert_ir.interpreter.multiply_add import fused_multiply_add
from sparsert_ir.interpreter.number_ops import maximum

Convolution: TypeAlias = linalg.Conv2DNchwFchwOp | linalg.Conv2DNhwc_HwcfOp


def _empty(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    kind = cast(TensorType[Attribute], op.results[0].type)
    return [poisoned(kind.get_shape(), element_dtype(kind))]


def _check_tensors(frame: Frame, op: Operation) -> None:
    if len(op.results) != 1:
        frame.fail(op, "expected tensors and one result, got memrefs or several results")


def _matmul(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    """Fused multiply-adds in ascending order of k; zeros are not skipped."""
    _check_tensors(frame, op)
    left, right, total = operands
    maps = list(cast(linalg.MatmulOp, op).get_indexing_maps())
    if [m.data for m in maps] != list(cast(linalg.MatmulOp, op).get_default_indexing_maps()):
        frame.fail(op, "expected the indexing maps of a plain matmul")
    for k in range(left.shape[1]):
        total = fused_multiply_add(left[:, k : k + 1], right[k], total)
    return [total]


def _convolution(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    """Fused multiply-adds, filter row by filter row, channel by channel; zeros are not skipped."""
    _check_tensors(frame, op)
    op = cast(Convolution, op)
    x, weight, total = operands
    nhwc = isinstance(op, linalg.Conv2DNhwc_HwcfOp)
    if nhwc:
        x, total = x.transpose(0, 3, 1, 2), total.transpose(0, 3, 1, 2)
        weight = weight.transpose(3, 2, 0, 1)
    steps = [*op.strides.get_values(), *op.dilations.get_values()]
    sy, sx, dy, dx = (int(step) for step in steps)
    height, width = total.shape[2:]
    for ty, channel, tx in np.ndindex(weight.shape[2], weight.shape[1], weight.shape[3]):
        rows = slice(ty * dy, ty * dy + sy * (height - 1) + 1, sy)
        columns = slice(tx * dx, tx * dx + sx * (width - 1) + 1, sx)
        values = weight[:, channel, ty, tx].reshape(1, -1, 1, 1)
        total = fused_multiply_add(values, x[:, channel : channel + 1, rows, columns], total)
    return [total.transpose(0, 2, 3, 1) if nhwc else total]


def _pad(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(tensor.PadOp, op)
    if len(operands) != 1:
        frame.fail(op, "expected static amounts only")
    source: Array = operands[0]
    low, high = op.static_low.get_values(), op.static_high.get_values()
    points = [index.reshape(-1) for index in np.indices(op.result.type.get_shape())]
    body = Frame(frame.machine, points[0].size)
    body.values.update(frame.values)
    (element,) = body.run(op.region.block, points)
    padded = np.broadcast_to(element, body.threads).reshape(op.result.type.get_shape()).copy()
    inside = tuple(
        slice(int(b), n - int(a)) for b, a, n in zip(low, high, padded.shape, strict=True)
    )
    padded[inside] = source
    return [padded]


def _add(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    _check_tensors(frame, op)
    return [operands[0] + operands[1]]


def _max(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    _check_tensors(frame, op)
    return [maximum(operands[0], operands[1])]


def _fill(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    _check_tensors(frame, op)
    number, target = operands
    return [np.broadcast_to(number.reshape(()), target.shape)]


def _broadcast(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    _check_tensors(frame, op)
    source, target = operands
    added = tuple(cast(linalg.BroadcastOp, op).dimensions.get_values())
    return [np.broadcast_to(np.expand_dims(source, added), target.shape)]


def _generic(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    """Run the body once, with one thread for each point of the result."""
    _check_tensors(frame, op)
    op = cast(linalg.GenericOp, op)
    maps = [m.data for m in op.indexing_maps]
    iterators = {kind.data.value for kind in op.iterator_types}
    if iterators - {"parallel"} or maps[-1] != AffineMap.identity(maps[-1].num_dims):
        frame.fail(op, "expected parallel iterators only and the identity map for the result")
    shape: tuple[int, ...] = operands[-1].shape
    points: list[Array] = [index.reshape(-1) for index in np.indices(shape)]
    body = Frame(frame.machine, prod(shape))
    body.values.update(frame.values)
    arguments = [_at(array, m, points) for array, m in zip(operands, maps, strict=True)]
    (element,) = body.run(op.body.block, arguments)
    return [np.broadcast_to(element, body.threads).reshape(shape)]


def _at(array: Array, indexing: AffineMap, points: list[Array]) -> Array:
    """The operand's element for each point; a number is the same for all."""
    if not indexing.results:
        return np.broadcast_to(array.reshape(-1)[:1], points[0].shape)
    return array[indexing.eval(points, [])]  # pyright: ignore[reportArgumentType]


LINALG_HANDLERS: Mapping[str, Handler] = {
    "tensor.empty": _empty,
    "linalg.matmul": _matmul,
    "linalg.conv_2d_nchw_fchw": _convolution,
    "linalg.conv_2d_nhwc_hwcf": _convolution,
    "tensor.pad": _pad,
    "linalg.add": _add,
    "linalg.max": _max,
    "linalg.fill": _fill,
    "linalg.broadcast": _broadcast,
    "linalg.generic": _generic,
}
