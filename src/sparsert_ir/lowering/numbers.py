"""`arith`, `math` and `vector` become LLVM instructions and intrinsics."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from xdsl.dialects import arith, llvm, math, vector
from xdsl.dialects.builtin import (
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    VectorType,
    i32,
)
from xdsl.ir import Attribute, Operation, SSAValue

from sparsert_ir.dialects.llvm import ExtractElementOp, FreezeOp
from sparsert_ir.lowering.function import FunctionLowering, Rule, Rules, rule


def splat_attribute(value: float, kind: VectorType[Any]) -> Attribute:
    """`dense<value>` of a vector type."""
    return DenseIntOrFPElementsAttr.from_list(kind, [value])


def intrinsic_type(kind: Attribute) -> str:
    """How an intrinsic's name spells a type: `f32`, `v2f16`."""
    if isinstance(kind, VectorType):
        return f"v{kind.get_shape()[0]}{cast(Attribute, kind.element_type)}"
    return str(kind)


def call_overloaded(
    lowering: FunctionLowering, intrinsic: str, arguments: Sequence[SSAValue]
) -> SSAValue:
    """Call an intrinsic whose operands and result have one type."""
    kind = arguments[0].type
    name = f"{intrinsic}.{intrinsic_type(kind)}"
    return lowering.insert(llvm.CallIntrinsicOp(name, arguments, [kind]))


def lower_constant(lowering: FunctionLowering, op: arith.ConstantOp) -> Sequence[SSAValue]:
    kind = lowering.type_of(op.result.type)
    value = op.value
    if isinstance(value, IntegerAttr):
        value = IntegerAttr(value.value.data, cast(IntegerType, kind))
    return [lowering.insert(llvm.ConstantOp(value, kind))]


def _instruction(kind: Callable[..., Operation]) -> Rule:
    """The LLVM instruction on the same operands."""

    def lower(lowering: FunctionLowering, op: Operation) -> Sequence[SSAValue]:
        return [lowering.insert(kind(*lowering.values(op.operands)))]

    return lower


def _cast(kind: Callable[[SSAValue, Attribute], Operation]) -> Rule:
    """The LLVM conversion to the same type."""

    def lower(lowering: FunctionLowering, op: Operation) -> Sequence[SSAValue]:
        target = lowering.type_of(op.results[0].type)
        return [lowering.insert(kind(lowering.value(op.operands[0]), target))]

    return lower


def _intrinsic(name: str) -> Rule:
    """The LLVM intrinsic on the same operands."""

    def lower(lowering: FunctionLowering, op: Operation) -> Sequence[SSAValue]:
        return [call_overloaded(lowering, name, lowering.values(op.operands))]

    return lower


def lower_compare(lowering: FunctionLowering, op: arith.CmpiOp) -> Sequence[SSAValue]:
    left, right = lowering.values(op.operands)
    return [lowering.insert(llvm.ICmpOp(left, right, IntegerAttr(op.predicate.value.data, 64)))]


def lower_index_cast(lowering: FunctionLowering, op: arith.IndexCastOp) -> Sequence[SSAValue]:
    value = lowering.value(op.input)
    wanted = cast(IntegerType, lowering.type_of(op.result.type))
    have = cast(IntegerType, value.type)
    if have == wanted:
        return [value]
    kind = llvm.SExtOp if have.width.data < wanted.width.data else llvm.TruncOp
    return [lowering.insert(kind(value, wanted))]


def splat(lowering: FunctionLowering, number: SSAValue, kind: VectorType[Any]) -> SSAValue:
    """`number` in every lane of a vector."""
    if isinstance(number.owner, llvm.ConstantOp) and isinstance(number.owner.value, FloatAttr):
        value = number.owner.value.value.data
        return lowering.insert(llvm.ConstantOp(splat_attribute(value, kind), kind))
    empty = lowering.insert(llvm.UndefOp(kind))
    first = lowering.insert(llvm.InsertElementOp(empty, number, lowering.integer(0, 32)))
    mask = DenseArrayBase.from_list(i32, [0] * kind.get_shape()[0])
    return lowering.insert(llvm.ShuffleVectorOp(first, empty, mask, kind))


def lower_broadcast(lowering: FunctionLowering, op: vector.BroadcastOp) -> Sequence[SSAValue]:
    return [splat(lowering, lowering.value(op.source), cast(VectorType[Any], op.vector.type))]


def extract(lowering: FunctionLowering, value: SSAValue, lane: int) -> SSAValue:
    """One element of a vector."""
    return lowering.insert(ExtractElementOp(value, lowering.integer(lane, 32)))


def lower_extract(lowering: FunctionLowering, op: vector.ExtractOp) -> Sequence[SSAValue]:
    return [extract(lowering, lowering.value(op.vector), _position(op))]


def lower_insert(lowering: FunctionLowering, op: vector.InsertOp) -> Sequence[SSAValue]:
    number, target = lowering.value(op.source), lowering.value(op.dest)
    position = lowering.integer(_position(op), 32)
    return [lowering.insert(llvm.InsertElementOp(target, number, position))]


def _position(op: vector.ExtractOp | vector.InsertOp) -> int:
    """Where in a vector of rank 1, known at compile time."""
    (position,) = op.static_position.get_values()
    return int(position)


def join(lowering: FunctionLowering, numbers: Sequence[SSAValue]) -> SSAValue:
    """A vector of some numbers."""
    kind = VectorType(numbers[0].type, [len(numbers)])
    joined = lowering.insert(llvm.UndefOp(kind))
    for lane, number in enumerate(numbers):
        position = lowering.integer(lane, 32)
        joined = lowering.insert(llvm.InsertElementOp(joined, number, position))
    return joined


def lower_shuffle(lowering: FunctionLowering, op: vector.ShuffleOp) -> Sequence[SSAValue]:
    """Frozen, so that a few shuffles of one loaded vector do not become as many loads: loads are
    what a CPU kernel has most of.
    """
    first, second = lowering.values([op.v1, op.v2])
    mask = DenseArrayBase.from_list(i32, op.mask.get_values())
    shuffled = llvm.ShuffleVectorOp(first, second, mask, cast(VectorType[Any], op.result.type))
    return [lowering.insert(FreezeOp(lowering.insert(shuffled)))]


NUMBERS: Rules = {
    arith.ConstantOp: rule(lower_constant),
    arith.AddiOp: _instruction(llvm.AddOp),
    arith.SubiOp: _instruction(llvm.SubOp),
    arith.MuliOp: _instruction(llvm.MulOp),
    arith.DivUIOp: _instruction(llvm.UDivOp),
    arith.RemUIOp: _instruction(llvm.URemOp),
    arith.AndIOp: _instruction(llvm.AndOp),
    arith.OrIOp: _instruction(llvm.OrOp),
    arith.XOrIOp: _instruction(llvm.XOrOp),
    arith.ShLIOp: _instruction(llvm.ShlOp),
    arith.ShRUIOp: _instruction(llvm.LShrOp),
    arith.MinUIOp: _intrinsic("llvm.umin"),
    arith.AddfOp: _instruction(llvm.FAddOp),
    arith.MulfOp: _instruction(llvm.FMulOp),
    arith.SelectOp: _instruction(llvm.SelectOp),
    arith.CmpiOp: rule(lower_compare),
    arith.IndexCastOp: rule(lower_index_cast),
    arith.ExtFOp: _cast(llvm.FPExtOp),
    arith.TruncFOp: _cast(llvm.FPTruncOp),
    arith.ExtUIOp: _cast(llvm.ZExtOp),
    arith.ExtSIOp: _cast(llvm.SExtOp),
    arith.TruncIOp: _cast(llvm.TruncOp),
    arith.BitcastOp: _cast(llvm.BitcastOp),
    arith.MaximumfOp: _intrinsic("llvm.maximum"),
    math.FmaOp: _intrinsic("llvm.fma"),
    math.CtPopOp: _intrinsic("llvm.ctpop"),
    vector.FMAOp: _intrinsic("llvm.fma"),
    vector.BroadcastOp: rule(lower_broadcast),
    vector.ExtractOp: rule(lower_extract),
    vector.InsertOp: rule(lower_insert),
    vector.ShuffleOp: rule(lower_shuffle),
}
