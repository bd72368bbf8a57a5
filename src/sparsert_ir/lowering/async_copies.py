"""Asynchronous copies to the memory of a block become `cp.async` and `cp.async.bulk`."""

from collections.abc import Sequence
from math import prod

from xdsl.dialects import cf, llvm
from xdsl.ir import SSAValue

from sparsert_ir.dense import element_bytes
from sparsert_ir.dialects import nvvm
from sparsert_ir.dialects.sparsert import (
    AsyncCommitOp,
    AsyncCopyOp,
    AsyncWaitOp,
    AwaitBytesOp,
    BulkCopyOp,
    ExpectBytesOp,
    MakeSignalsOp,
)
from sparsert_ir.lowering.cluster import check_in_kernel, is_first_thread
from sparsert_ir.lowering.function import FunctionLowering, Rules, rule
from sparsert_ir.lowering.memory import address, array_of


def lower_copy(lowering: FunctionLowering, op: AsyncCopyOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    source = address(lowering, op.x, [op.row, op.column])
    target = address(lowering, op.staged, [op.slot, op.place])
    lowering.do(nvvm.CpAsyncOp(target, source, op.byte_count))
    return []


def lower_commit(lowering: FunctionLowering, op: AsyncCommitOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    lowering.do(nvvm.CpAsyncCommitGroupOp())
    return []


def lower_wait(lowering: FunctionLowering, op: AsyncWaitOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    lowering.do(nvvm.CpAsyncWaitGroupOp(op.pending.value.data))
    return []


def lower_make_signals(lowering: FunctionLowering, op: MakeSignalsOp) -> Sequence[SSAValue]:
    """The first thread makes the barrier objects, which one arrival and the bytes complete."""
    check_in_kernel(lowering, op)
    kind, signals = array_of(op.signals), lowering.value(op.signals)
    make, meet = lowering.new_block([]), lowering.new_block([])
    lowering.do(cf.ConditionalBranchOp(is_first_thread(lowering), make, [], meet, []))
    lowering.start(make)
    for number in range(prod(kind.get_shape())):
        signal = lowering.element_pointer(signals, number, kind.element_type)
        lowering.do(nvvm.MbarrierInitOp(signal, lowering.integer(1)))
    lowering.do(nvvm.FenceMbarrierInitOp())
    lowering.branch(meet)
    lowering.start(meet)
    lowering.do(nvvm.Barrier0Op())
    return []


def lower_expect_bytes(lowering: FunctionLowering, op: ExpectBytesOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    signal = address(lowering, op.signals, [op.number])
    lowering.do(nvvm.MbarrierArriveExpectTxOp(signal, lowering.value(op.byte_count)))
    return []


def lower_bulk_copy(lowering: FunctionLowering, op: BulkCopyOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    source = address(lowering, op.x, [op.row, op.column])
    target = address(lowering, op.staged, [op.slot, op.place])
    signal = address(lowering, op.signals, [op.number])
    size = lowering.integer(element_bytes(array_of(op.x).element_type))
    byte_count = lowering.insert(llvm.MulOp(lowering.value(op.count), size))
    lowering.do(nvvm.CpAsyncBulkOp(target, source, signal, byte_count))
    return []


def lower_await_bytes(lowering: FunctionLowering, op: AwaitBytesOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    signal = address(lowering, op.signals, [op.number])
    lowering.do(nvvm.MbarrierWaitParityOp(signal, lowering.value(op.parity)))
    return []


ASYNC_COPIES: Rules = {
    AsyncCopyOp: rule(lower_copy),
    AsyncCommitOp: rule(lower_commit),
    AsyncWaitOp: rule(lower_wait),
    MakeSignalsOp: rule(lower_make_signals),
    ExpectBytesOp: rule(lower_expect_bytes),
    BulkCopyOp: rule(lower_bulk_copy),
    AwaitBytesOp: rule(lower_await_bytes),
}
