"""`arith`, `math` and `vector`: numbers and vectors, element by element."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from xdsl.dialects import arith, vector
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, FloatAttr, IntegerAttr, TensorType
from xdsl.ir import Operation

from sparsert_ir.dense import Array
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value, choose
from sparsert_ir.interpreter.memory import dense_elements, element_dtype
from sparsert_ir.interpreter.multiply_add import fused_multiply_add


def _unsigned(array: Array) -> Array:
    return array.view(f"u{array.dtype.itemsize}")


def _on_unsigned(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """`function` on the same bits, read as unsigned numbers."""

    def of_signed(a: Array, b: Array) -> Array:
        result = function(_unsigned(a), _unsigned(b))
        return result if result.dtype == np.bool_ else result.view(a.dtype)

    return of_signed


def _divide(a: Array, b: Array) -> Array:
    """Quotients of threads that are switched off may be anything, also those by 0."""
    return a // np.where(b == 0, b.dtype.type(1), b)


def _remainder(a: Array, b: Array) -> Array:
    return a % np.where(b == 0, b.dtype.type(1), b)


def maximum(a: Array, b: Array) -> Array:
    """Hands NaN on, as `arith.maximumf` does; without the warning that ml_dtypes gives of one."""
    with np.errstate(invalid="ignore"):
        return np.maximum(a, b)


_ELEMENTWISE: Mapping[str, Callable[..., Array]] = {
    "arith.addf": np.add,
    "arith.subf": np.subtract,
    "arith.mulf": np.multiply,
    "arith.maximumf": maximum,
    "arith.minimumf": np.minimum,
    "arith.addi": np.add,
    "arith.subi": np.subtract,
    "arith.muli": np.multiply,
    "arith.divui": _on_unsigned(_divide),
    "arith.remui": _on_unsigned(_remainder),
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "arith.shrui": _on_unsigned(np.right_shift),
    "arith.minsi": np.minimum,
    "arith.maxsi": np.maximum,
    "arith.minui": _on_unsigned(np.minimum),
    "arith.maxui": _on_unsigned(np.maximum),
    "math.fma": fused_multiply_add,
    "vector.fma": fused_multiply_add,
}

_COMPARISONS: tuple[Callable[[Array, Array], Array], ...] = (
    np.equal,
    np.not_equal,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    _on_unsigned(np.less),
    _on_unsigned(np.less_equal),
    _on_unsigned(np.greater),
    _on_unsigned(np.greater_equal),
)
"""In the order of the predicates of `arith.cmpi`."""


def _elementwise(function: Callable[..., Array]) -> Handler:
    def handler(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
        return [function(*operands)]

    return handler


def _constant(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    value, kind = cast(arith.ConstantOp, op).value, op.results[0].type
    if isinstance(value, DenseIntOrFPElementsAttr):
        elements = dense_elements(cast("DenseIntOrFPElementsAttr[Any]", value))
        return [elements if isinstance(kind, TensorType) else frame.all_threads(elements)]
    if isinstance(value, FloatAttr | IntegerAttr):
        number = value.value.data
        return [frame.all_threads(np.asarray(number).astype(element_dtype(kind)))]
    return frame.fail(op, f"expected a number or dense elements, got {value}")


def _compare(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    predicate = cast(arith.CmpiOp, op).predicate.value.data
    return [_COMPARISONS[predicate](*operands)]


def _select(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    condition, yes, no = operands
    return [choose(condition, yes, no)]


def _convert(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return [operands[0].astype(element_dtype(op.results[0].type))]


def _zero_extend(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return [_unsigned(operands[0]).astype(element_dtype(op.results[0].type))]


def _broadcast(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    source: Array = operands[0]
    width = cast(vector.BroadcastOp, op).vector.type.get_shape()[-1]
    column = source[:, np.newaxis] if source.ndim == 1 else source
    return [np.broadcast_to(column, (source.shape[0], width))]


def _lane_position(frame: Frame, op: vector.ExtractOp | vector.InsertOp) -> int:
    position = list(op.static_position.get_values())
    if len(position) != 1 or op.dynamic_position:
        frame.fail(op, "expected one position known at compile time")
    return int(position[0])


def _extract(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return [operands[0][:, _lane_position(frame, cast(vector.ExtractOp, op))]]


def _shuffle(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    mask = list(cast(vector.ShuffleOp, op).mask.get_values())
    if min(mask) < 0:
        frame.fail(op, "expected a mask without -1")
    return [np.concatenate(operands, axis=1)[:, mask]]


def _insert(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    source, target = operands
    changed = target.copy()
    changed[:, _lane_position(frame, cast(vector.InsertOp, op))] = source
    return [changed]


NUMBER_HANDLERS: Mapping[str, Handler] = {
    **{name: _elementwise(function) for name, function in _ELEMENTWISE.items()},
    "arith.constant": _constant,
    "arith.cmpi": _compare,
    "arith.select": _select,
    "arith.index_cast": _convert,
    "arith.extf": _convert,
    "arith.extui": _zero_extend,
    "arith.truncf": _convert,
    "vector.broadcast": _broadcast,
    "vector.extract": _extract,
    "vector.insert": _insert,
    "vector.shuffle": _shuffle,
}
