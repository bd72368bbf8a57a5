"""What happens to a sum before it is stored: bias, residual, activation, conversion."""

from dataclasses import dataclass
from typing import Any, cast

from xdsl.dialects import arith, vector
from xdsl.dialects.builtin import AnyFloat, MemRefType, UnitAttr, VectorType
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.building import Code
from sparsert_ir.dialects.sparsert import (
    ActivationAttr,
    LoadColumnsOp,
    StoreColumnsOp,
    WindowAttr,
    lane_element,
)


@dataclass(frozen=True)
class RowWriter:
    """Writes `y[row, column...] = activation(sum + bias[row] + residual[row, column...])`.

    With a window y and the residual are images that it reads as matrices.
    """

    y: SSAValue
    residual: SSAValue | None
    bias_table: SSAValue | None
    activation: ActivationAttr | None
    residual_after_activation: UnitAttr | None
    streaming: bool
    window: WindowAttr | None = None

    def write(self, code: Code, total: SSAValue, row: SSAValue, column: SSAValue) -> None:
        """Emit the epilogue of one lane and its store."""
        if self.bias_table is not None:
            bias = splat(code, code.load(self.bias_table, row), total.type)
            total = code.insert(arith.AddfOp(total, bias))
        if self.residual is not None and self.residual_after_activation is None:
            total = self._add_residual(code, total, row, column)
        if self.activation is not None:
            zero = splat(code, code.number(0.0, lane_element(total.type)), total.type)
            total = code.insert(arith.MaximumfOp(total, zero))
        if self.residual is not None and self.residual_after_activation is not None:
            total = self._add_residual(code, total, row, column)
        stored = convert(code, total, element_of(self.y))
        code.do(StoreColumnsOp(stored, self.y, [row, column], self.streaming, self.window))

    def _add_residual(
        self, code: Code, total: SSAValue, row: SSAValue, column: SSAValue
    ) -> SSAValue:
        assert self.residual is not None
        lane = with_element(total.type, element_of(self.residual))
        loaded = code.insert(LoadColumnsOp(self.residual, [row, column], lane, self.window))
        return code.insert(arith.AddfOp(total, convert(code, loaded, lane_element(total.type))))


def element_of(buffer: SSAValue) -> AnyFloat:
    """Element type of a memref value."""
    return cast(MemRefType[AnyFloat], buffer.type).element_type


def with_element(lane: Attribute, element_type: AnyFloat) -> Attribute:
    """The lane type with another element type."""
    if isinstance(lane, VectorType):
        return VectorType(element_type, lane.get_shape())
    return element_type


def splat(code: Code, number: SSAValue, lane: Attribute) -> SSAValue:
    """`number` in every column of a lane."""
    if not isinstance(lane, VectorType):
        return number
    return code.insert(vector.BroadcastOp(number, cast(VectorType[Any], lane)))


def convert(code: Code, value: SSAValue, element_type: AnyFloat) -> SSAValue:
    """The lane `value` with another element type; rounds to nearest when it gets narrower."""
    old = lane_element(value.type)
    if old == element_type:
        return value
    wider = element_type.bitwidth > old.bitwidth
    lane = with_element(value.type, element_type)
    return code.insert(arith.ExtFOp(value, lane) if wider else arith.TruncFOp(value, lane))
