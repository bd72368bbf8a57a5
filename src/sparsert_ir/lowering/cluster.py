"""Sums sent from block to block become asynchronous stores that a barrier object counts."""

from collections.abc import Sequence

from xdsl.dialects import cf, llvm
from xdsl.dialects.llvm import ICmpPredicateFlag as Predicate
from xdsl.ir import Operation, SSAValue

from sparsert_ir.dense import element_bytes
from sparsert_ir.dialects import nvvm
from sparsert_ir.dialects.sparsert import (
    AwaitInboxOp,
    OpenInboxOp,
    SendColumnsOp,
    lane_element,
    lane_width,
)
from sparsert_ir.errors import IRError
from sparsert_ir.lowering.control_flow import compare
from sparsert_ir.lowering.function import FunctionLowering, Rules, rule
from sparsert_ir.lowering.memory import array_of, linear_index

_WORD = 4
_FIRST_PHASE = 0


def lower_open_inbox(lowering: FunctionLowering, op: OpenInboxOp) -> Sequence[SSAValue]:
    """The block's first thread makes the barrier object; nobody goes on before all have one."""
    check_in_kernel(lowering, op)
    signal, rows = lowering.values([op.signal, op.rows])
    kind = array_of(op.inbox)
    row_bytes = kind.get_shape()[-1] * element_bytes(kind.element_type)
    make, meet = lowering.new_block([]), lowering.new_block([])
    lowering.do(cf.ConditionalBranchOp(is_first_thread(lowering), make, [], meet, []))
    lowering.start(make)
    lowering.do(nvvm.MbarrierInitOp(signal, lowering.integer(1)))
    lowering.do(nvvm.FenceMbarrierInitOp())
    expected = lowering.insert(llvm.MulOp(rows, lowering.integer(row_bytes)))
    lowering.do(nvvm.MbarrierArriveExpectTxOp(signal, expected))
    lowering.branch(meet)
    lowering.start(meet)
    lowering.do(nvvm.ClusterArriveRelaxedOp())
    lowering.do(nvvm.ClusterWaitOp())
    return []


def check_in_kernel(lowering: FunctionLowering, op: Operation) -> None:
    """Raise IRError for an operation of GPUs in code for a host."""
    if not lowering.target.is_gpu:
        raise IRError(f"sparsert-convert-to-llvm: expected {op.name} in a kernel, got it on a host")


def is_first_thread(lowering: FunctionLowering) -> SSAValue:
    """Whether the thread is the first one of its block."""
    x, y, z = (
        lowering.insert(number())
        for number in (nvvm.ThreadIdXOp, nvvm.ThreadIdYOp, nvvm.ThreadIdZOp)
    )
    any_bit = lowering.insert(llvm.OrOp(lowering.insert(llvm.OrOp(x, y)), z))
    return compare(lowering, any_bit, lowering.integer(0), Predicate.EQ)


def lower_send_columns(lowering: FunctionLowering, op: SendColumnsOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    kind, lane = array_of(op.inbox), op.value.type
    size = lane_width(lane) * element_bytes(lane_element(lane))
    if size % _WORD:
        raise IRError(
            f"sparsert-convert-to-llvm: expected {op.name} of whole words of {_WORD} bytes, got"
            f" {lane}; give each thread two columns"
        )
    block = lowering.value(op.block)
    inbox = lowering.insert(nvvm.MapaOp(lowering.value(op.inbox), block))
    signal = lowering.insert(nvvm.MapaOp(lowering.value(op.signal), block))
    position = linear_index(lowering, kind, lowering.values(op.indices))
    pointer = lowering.element_pointer(inbox, position, kind.element_type)
    lowering.do(nvvm.StAsyncOp(lowering.value(op.value), pointer, signal))
    return []


def lower_await_inbox(lowering: FunctionLowering, op: AwaitInboxOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    signal = lowering.value(op.signal)
    lowering.do(nvvm.MbarrierWaitParityOp(signal, lowering.integer(_FIRST_PHASE)))
    return []


CLUSTER: Rules = {
    OpenInboxOp: rule(lower_open_inbox),
    SendColumnsOp: rule(lower_send_columns),
    AwaitInboxOp: rule(lower_await_inbox),
}
