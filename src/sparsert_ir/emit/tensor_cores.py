"""`ldmatrix` and `mma`, whose intrinsics take and give single registers of two elements."""

from xdsl.ir import Attribute, SSAValue

from sparsert_ir.dialects import nvvm
from sparsert_ir.dialects.sparsert import lane_element, lane_width
from sparsert_ir.emit.function_writer import FunctionWriter
from sparsert_ir.emit.literals import type_text

_PAIR = 2
_LDMATRIX = "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16.p3"
_MMA = {
    "half": "llvm.nvvm.mma.m16n8k16.row.col.f32.f32",
    "bfloat": "llvm.nvvm.mma.m16n8k16.row.col.bf16",
}
"""By element type of the factors; bf16 goes in registers of 32 bits without a type."""


def emit_ldmatrix(writer: FunctionWriter, op: nvvm.LdMatrixOp) -> None:
    registers = lane_width(op.result.type) // _PAIR
    kind = _struct("i32", registers)
    loaded = writer.call(_LDMATRIX, kind, [("ptr addrspace(3)", writer.name(op.pointer))])
    words = _gathered(writer, loaded, "i32", registers)
    writer.define(op.result, f"bitcast <{registers} x i32> {words} to {type_text(op.result.type)}")


def emit_mma_sync(writer: FunctionWriter, op: nvvm.MmaSyncOp) -> None:
    element = type_text(lane_element(op.a.type))
    arguments = [pair for factor in (op.a, op.b) for pair in _pairs(writer, factor)]
    count = lane_width(op.c.type)
    sums = f"<{count} x float> {writer.name(op.c)}"
    arguments += [
        ("float", writer.assign(f"extractelement {sums}, i32 {place}")) for place in range(count)
    ]
    added = writer.call(_MMA[element], _struct("float", count), arguments)
    writer.names[op.result] = _gathered(writer, added, "float", count)


def _struct(kind: Attribute | str, count: int) -> str:
    return f"{{ {', '.join([str(kind)] * count)} }}"


def _gathered(writer: FunctionWriter, struct: str, kind: str, count: int) -> str:
    """A vector of the members of a struct."""
    vector = "undef"
    for place in range(count):
        member = writer.assign(f"extractvalue {_struct(kind, count)} {struct}, {place}")
        inside = f"<{count} x {kind}> {vector}, {kind} {member}, i32 {place}"
        vector = writer.assign(f"insertelement {inside}")
    return vector


def _pairs(writer: FunctionWriter, factor: SSAValue) -> list[tuple[str, str]]:
    """The registers of a fragment, as the intrinsic of its element type takes them."""
    element, kind = type_text(lane_element(factor.type)), type_text(factor.type)
    pairs: list[tuple[str, str]] = []
    for place in range(0, lane_width(factor.type), _PAIR):
        mask = f"<{_PAIR} x i32> <i32 {place}, i32 {place + 1}>"
        parts = f"{writer.typed(factor)}, {kind} undef, {mask}"
        pair = writer.assign(f"shufflevector {parts}")
        if element == "bfloat":
            pair = writer.assign(f"bitcast <{_PAIR} x bfloat> {pair} to i32")
        pairs.append(("i32" if element == "bfloat" else f"<{_PAIR} x half>", pair))
    return pairs
