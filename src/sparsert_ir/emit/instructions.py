"""Each operation of the llvm, cf and nvvm dialects as one line of LLVM IR text."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar, cast

from xdsl.dialects import cf, llvm
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Attribute, Operation

from sparsert_ir.dialects import nvvm
from sparsert_ir.dialects.llvm import ExtractElementOp, FreezeOp
from sparsert_ir.dialects.sparsert import lane_element, lane_width
from sparsert_ir.emit.async_stores import SentLane
from sparsert_ir.emit.function_writer import FunctionWriter
from sparsert_ir.emit.fused import MultiplyAdd
from sparsert_ir.emit.literals import constant_text, global_name, type_text
from sparsert_ir.emit.narrowing import narrowed_text
from sparsert_ir.emit.streaming import StreamedLane
from sparsert_ir.emit.tensor_cores import emit_ldmatrix, emit_mma_sync
from sparsert_ir.lowering.memory import INVARIANT

INVARIANT_LOAD = ", !invariant.load !0"
NONTEMPORAL = ", !nontemporal !1"
METADATA = "!0 = !{}\n!1 = !{i32 1}\n"
"""What `INVARIANT_LOAD` and `NONTEMPORAL` refer to."""

OpT = TypeVar("OpT", bound=Operation)
Emitter: TypeAlias = Callable[[FunctionWriter, Operation], None]
Emitters: TypeAlias = Mapping[type[Operation], Emitter]


def emitter(function: Callable[[FunctionWriter, OpT], None]) -> Emitter:
    """An emitter for one class of operations; the table that holds it knows which."""
    return cast(Emitter, function)


def _binary(verb: str) -> Emitter:
    def emit(writer: FunctionWriter, op: Operation) -> None:
        left, right = op.operands
        writer.define(op.results[0], f"{verb} {writer.typed(left)}, {writer.name(right)}")

    return emit


def _cast(verb: str) -> Emitter:
    def emit(writer: FunctionWriter, op: Operation) -> None:
        kind = type_text(op.results[0].type)
        writer.define(op.results[0], f"{verb} {writer.typed(op.operands[0])} to {kind}")

    return emit


def emit_narrower(writer: FunctionWriter, op: llvm.FPTruncOp) -> None:
    old, new = op.arg.type, op.result.type
    elements = type_text(lane_element(old)), type_text(lane_element(new))
    text = narrowed_text(writer, elements, lane_width(old), writer.name(op.arg))
    writer.define(op.result, text)


def _register(name: str) -> Emitter:
    def emit(writer: FunctionWriter, op: Operation) -> None:
        intrinsic = f"llvm.nvvm.read.ptx.sreg.{name}"
        writer.define(op.results[0], writer.call_text(intrinsic, "i32", []))

    return emit


def _shuffle(mode: str) -> Emitter:
    def emit(writer: FunctionWriter, op: nvvm.ShuffleOp) -> None:
        kind = type_text(op.value.type)
        name = "f32" if kind == "float" else "i32"
        last = "0" if mode == "up" else "31"
        arguments = [("i32", "-1"), (kind, writer.name(op.value))]
        arguments += [("i32", str(op.offset.value.data)), ("i32", last)]
        text = writer.call_text(f"llvm.nvvm.shfl.sync.{mode}.{name}", kind, arguments)
        writer.define(op.result, text)

    return emitter(emit)


def emit_constant(writer: FunctionWriter, op: llvm.ConstantOp) -> None:
    """No instruction: a constant is written where it is used."""
    writer.names[op.result] = constant_text(op.value, op.result.type)


def emit_undef(writer: FunctionWriter, op: llvm.UndefOp) -> None:
    writer.names[op.res] = "undef"


def emit_address(writer: FunctionWriter, op: llvm.AddressOfOp) -> None:
    writer.names[op.result] = global_name(op.global_name.string_value())


def emit_compare(writer: FunctionWriter, op: llvm.ICmpOp) -> None:
    predicate = llvm.ICmpPredicateFlag.from_int(op.predicate.value.data).value
    writer.define(op.res, f"icmp {predicate} {writer.typed(op.lhs)}, {writer.name(op.rhs)}")


def emit_select(writer: FunctionWriter, op: llvm.SelectOp) -> None:
    writer.define(op.results[0], "select " + ", ".join(writer.typed(o) for o in op.operands))


def emit_element_pointer(writer: FunctionWriter, op: llvm.GEPOp) -> None:
    dynamic = iter(op.ssa_indices)
    marker = llvm.GEP_USE_SSA_VAL
    indices = [
        writer.typed(next(dynamic)) if static == marker else f"i64 {static}"
        for static in op.rawConstantIndices.iter_values()
    ]
    place = ", ".join([type_text(op.elem_type), writer.typed(op.ptr), *indices])
    inbounds = "" if op.inbounds is None else "inbounds "
    writer.define(op.result, f"getelementptr {inbounds}{place}")


def emit_load(writer: FunctionWriter, op: llvm.LoadOp) -> None:
    kind = type_text(op.dereferenced_value.type)
    note = INVARIANT_LOAD if INVARIANT in op.attributes else ""
    text = f"load {kind}, {writer.typed(op.ptr)}{_alignment(op.alignment)}{note}"
    writer.define(op.dereferenced_value, text)


def emit_store(writer: FunctionWriter, op: llvm.StoreOp) -> None:
    streaming = op.nontemporal is not None
    if streaming and writer.on_gpu:
        element, width = type_text(lane_element(op.value.type)), lane_width(op.value.type)
        StreamedLane(element, width, writer.name(op.value)).store(writer, writer.name(op.ptr), 0)
        return
    note = NONTEMPORAL if streaming else ""
    place = f"{writer.typed(op.ptr)}{_alignment(op.alignment)}{note}"
    writer.line(f"store {writer.typed(op.value)}, {place}")


def _alignment(alignment: IntegerAttr | None) -> str:
    return "" if alignment is None else f", align {alignment.value.data}"


def emit_insert(writer: FunctionWriter, op: llvm.InsertElementOp) -> None:
    writer.define(op.res, "insertelement " + ", ".join(writer.typed(o) for o in op.operands))


def emit_extract(writer: FunctionWriter, op: ExtractElementOp) -> None:
    text = f"extractelement {writer.typed(op.vector)}, {writer.typed(op.position)}"
    writer.define(op.result, text)


def emit_freeze(writer: FunctionWriter, op: FreezeOp) -> None:
    writer.define(op.result, f"freeze {writer.typed(op.value)}")


def emit_shuffle_vector(writer: FunctionWriter, op: llvm.ShuffleVectorOp) -> None:
    lanes = [f"i32 {lane}" for lane in op.mask.iter_values()]
    mask = f"<{len(lanes)} x i32> <{', '.join(lanes)}>"
    writer.define(op.res, f"shufflevector {writer.typed(op.v1)}, {writer.typed(op.v2)}, {mask}")


def emit_intrinsic(writer: FunctionWriter, op: llvm.CallIntrinsicOp) -> None:
    if op.intrin.data.startswith("llvm.fma.") and op.ress is not None:
        kind = op.ress.type
        fused = MultiplyAdd(writer, type_text(lane_element(kind)), lane_width(kind))
        writer.define(op.ress, fused.text(*(writer.name(value) for value in op.args)))
        return
    arguments = [(type_text(value.type), writer.name(value)) for value in op.args]
    kind: Attribute | str = "void" if op.ress is None else op.ress.type
    text = writer.call_text(op.intrin.data, kind, arguments)
    if op.ress is None:
        writer.line(text)
    else:
        writer.define(op.ress, text)


def emit_call(writer: FunctionWriter, op: llvm.CallOp) -> None:
    assert op.callee is not None
    arguments = ", ".join(writer.typed(value) for value in op.args)
    call = f"@{op.callee.string_value()}({arguments})"
    if op.returned is None:
        writer.line(f"call void {call}")
    else:
        writer.define(op.returned, f"call {type_text(op.returned.type)} {call}")


def emit_return(writer: FunctionWriter, op: llvm.ReturnOp) -> None:
    writer.line("ret void")


def emit_branch(writer: FunctionWriter, op: cf.BranchOp) -> None:
    writer.line(f"br {writer.edge(op.successor, op.arguments)}")


def emit_conditional_branch(writer: FunctionWriter, op: cf.ConditionalBranchOp) -> None:
    yes = writer.edge(op.then_block, op.then_arguments)
    no = writer.edge(op.else_block, op.else_arguments)
    writer.line(f"br {writer.typed(op.cond)}, {yes}, {no}")


def emit_switch(writer: FunctionWriter, op: cf.SwitchOp) -> None:
    """Cases pass no arguments: `sparsert-convert-to-llvm` makes them so."""
    kind = type_text(op.flag.type)
    numbers: Sequence[int] = () if op.case_values is None else op.case_values.get_values()
    default = writer.edge(op.default_block, op.default_operands)
    cases = [
        f"{kind} {number}, {writer.edge(block, ())}"
        for number, block in zip(numbers, op.case_blocks, strict=True)
    ]
    writer.line(f"switch {writer.typed(op.flag)}, {default} [{' '.join(cases)}]")


def emit_barrier(writer: FunctionWriter, op: nvvm.Barrier0Op) -> None:
    text = writer.call_text("llvm.nvvm.barrier.cta.sync.aligned.all", "void", [("i32", "0")])
    writer.line(text)


def emit_mapa(writer: FunctionWriter, op: nvvm.MapaOp) -> None:
    arguments = [(type_text(value.type), writer.name(value)) for value in op.operands]
    kind = type_text(op.result.type)
    text = writer.call_text("llvm.nvvm.mapa.shared.cluster", kind, arguments)
    writer.define(op.result, text)


def _on_mbarrier(intrinsic: str, result: str) -> Emitter:
    def emit(writer: FunctionWriter, op: nvvm.MbarrierOp) -> None:
        arguments = [(type_text(value.type), writer.name(value)) for value in op.operands]
        writer.line(writer.call_text(intrinsic, result, arguments))

    return emitter(emit)


def emit_wait_parity(writer: FunctionWriter, op: nvvm.MbarrierWaitParityOp) -> None:
    """A loop, since one `mbarrier.try_wait` may give up before the phase ends."""
    wait = "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 ended, [$0], $1;"
    text = f"{{ .reg .pred ended; again: {wait} @!ended bra again; }}"
    operands = f"{writer.typed(op.barrier)}, {writer.typed(op.number)}"
    writer.line(f'call void asm sideeffect "{text}", "l,r,~{{memory}}"({operands})')


def emit_st_async(writer: FunctionWriter, op: nvvm.StAsyncOp) -> None:
    element, width = type_text(lane_element(op.value.type)), lane_width(op.value.type)
    lane = SentLane(StreamedLane(element, width, writer.name(op.value)))
    lane.send(writer, writer.name(op.pointer), writer.name(op.barrier))


def _call_void(intrinsic: str) -> Emitter:
    def emit(writer: FunctionWriter, op: Operation) -> None:
        writer.line(writer.call_text(intrinsic, "void", []))

    return emit


INSTRUCTIONS: Emitters = {
    llvm.ConstantOp: emitter(emit_constant),
    llvm.UndefOp: emitter(emit_undef),
    llvm.AddressOfOp: emitter(emit_address),
    llvm.AddOp: _binary("add"),
    llvm.SubOp: _binary("sub"),
    llvm.MulOp: _binary("mul"),
    llvm.UDivOp: _binary("udiv"),
    llvm.URemOp: _binary("urem"),
    llvm.AndOp: _binary("and"),
    llvm.OrOp: _binary("or"),
    llvm.XOrOp: _binary("xor"),
    llvm.ShlOp: _binary("shl"),
    llvm.LShrOp: _binary("lshr"),
    llvm.FAddOp: _binary("fadd"),
    llvm.FMulOp: _binary("fmul"),
    llvm.ZExtOp: _cast("zext"),
    llvm.SExtOp: _cast("sext"),
    llvm.TruncOp: _cast("trunc"),
    llvm.FPExtOp: _cast("fpext"),
    llvm.FPTruncOp: emitter(emit_narrower),
    llvm.BitcastOp: _cast("bitcast"),
    llvm.ICmpOp: emitter(emit_compare),
    llvm.SelectOp: emitter(emit_select),
    llvm.GEPOp: emitter(emit_element_pointer),
    llvm.LoadOp: emitter(emit_load),
    llvm.StoreOp: emitter(emit_store),
    llvm.InsertElementOp: emitter(emit_insert),
    ExtractElementOp: emitter(emit_extract),
    FreezeOp: emitter(emit_freeze),
    llvm.ShuffleVectorOp: emitter(emit_shuffle_vector),
    llvm.CallIntrinsicOp: emitter(emit_intrinsic),
    llvm.CallOp: emitter(emit_call),
    llvm.ReturnOp: emitter(emit_return),
    cf.BranchOp: emitter(emit_branch),
    cf.ConditionalBranchOp: emitter(emit_conditional_branch),
    cf.SwitchOp: emitter(emit_switch),
    nvvm.ThreadIdXOp: _register("tid.x"),
    nvvm.ThreadIdYOp: _register("tid.y"),
    nvvm.ThreadIdZOp: _register("tid.z"),
    nvvm.BlockIdXOp: _register("ctaid.x"),
    nvvm.BlockIdYOp: _register("ctaid.y"),
    nvvm.BlockIdZOp: _register("ctaid.z"),
    nvvm.Barrier0Op: emitter(emit_barrier),
    nvvm.ClusterArriveRelaxedOp: _call_void("llvm.nvvm.barrier.cluster.arrive.relaxed.aligned"),
    nvvm.ClusterWaitOp: _call_void("llvm.nvvm.barrier.cluster.wait.aligned"),
    nvvm.MapaOp: emitter(emit_mapa),
    nvvm.MbarrierInitOp: _on_mbarrier("llvm.nvvm.mbarrier.init.shared", "void"),
    nvvm.MbarrierArriveExpectTxOp: _on_mbarrier(
        "llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta", "i64"
    ),
    nvvm.MbarrierWaitParityOp: emitter(emit_wait_parity),
    nvvm.FenceMbarrierInitOp: _call_void("llvm.nvvm.fence.mbarrier_init.release.cluster"),
    nvvm.StAsyncOp: emitter(emit_st_async),
    nvvm.GridLaunchDependentsOp: _call_void("llvm.nvvm.griddepcontrol.launch.dependents"),
    nvvm.GridWaitOp: _call_void("llvm.nvvm.griddepcontrol.wait"),
    nvvm.ShuffleBflyOp: _shuffle("bfly"),
    nvvm.ShuffleDownOp: _shuffle("down"),
    nvvm.ShuffleUpOp: _shuffle("up"),
    nvvm.ShuffleIdxOp: _shuffle("idx"),
    nvvm.LdMatrixOp: emitter(emit_ldmatrix),
    nvvm.MmaSyncOp: emitter(emit_mma_sync),
}
