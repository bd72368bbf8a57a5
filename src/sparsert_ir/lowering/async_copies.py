"""Asynchronous copies to the memory of a block become `cp.async`."""

from collections.abc import Sequence

from xdsl.ir import SSAValue

from sparsert_ir.dialects import nvvm
from sparsert_ir.dialects.sparsert import AsyncCommitOp, AsyncCopyOp, AsyncWaitOp
from sparsert_ir.lowering.function import FunctionLowering, Rules, rule
from sparsert_ir.lowering.memory import address


def lower_copy(lowering: FunctionLowering, op: AsyncCopyOp) -> Sequence[SSAValue]:
    source = address(lowering, op.x, [op.row, op.column])
    target = address(lowering, op.staged, [op.slot, op.place])
    lowering.do(nvvm.CpAsyncOp(target, source, op.byte_count))
    return []


def lower_commit(lowering: FunctionLowering, op: AsyncCommitOp) -> Sequence[SSAValue]:
    lowering.do(nvvm.CpAsyncCommitGroupOp())
    return []


def lower_wait(lowering: FunctionLowering, op: AsyncWaitOp) -> Sequence[SSAValue]:
    lowering.do(nvvm.CpAsyncWaitGroupOp(op.pending.value.data))
    return []


ASYNC_COPIES: Rules = {
    AsyncCopyOp: rule(lower_copy),
    AsyncCommitOp: rule(lower_commit),
    AsyncWaitOp: rule(lower_wait),
}
