"""`cp.async` and `cp.async.bulk` as inline assembly, which LLVM takes for any architecture.

PTX ISA, "cp.async", "cp.async.commit_group", "cp.async.wait_group", "cp.async.bulk".
"""

from sparsert_ir.dialects import nvvm
from sparsert_ir.emit.function_writer import FunctionWriter
from sparsert_ir.emit.instructions import Emitters, emitter


def emit_copy(writer: FunctionWriter, op: nvvm.CpAsyncOp) -> None:
    size = op.size.value.data
    # Whole 16-byte pieces are read once by a block: they need no place in the L1 cache.
    cache = "cg" if size == 16 else "ca"
    writer.line(
        f'call void asm sideeffect "cp.async.{cache}.shared.global [$0], [$1], {size};",'
        f' "l,l,~{{memory}}"({writer.typed(op.target)}, {writer.typed(op.source)})'
    )


def emit_bulk_copy(writer: FunctionWriter, op: nvvm.CpAsyncBulkOp) -> None:
    """The cluster is the block itself, whose own addresses are those of the cluster, too."""
    verb = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
    operands = ", ".join(
        writer.typed(value) for value in (op.target, op.source, op.size, op.barrier)
    )
    text = f"{verb} [$0], [$1], $2, [$3];"
    writer.line(f'call void asm sideeffect "{text}", "l,l,r,l,~{{memory}}"({operands})')


def emit_commit(writer: FunctionWriter, op: nvvm.CpAsyncCommitGroupOp) -> None:
    writer.line('call void asm sideeffect "cp.async.commit_group;", "~{memory}"()')


def emit_wait(writer: FunctionWriter, op: nvvm.CpAsyncWaitGroupOp) -> None:
    text = f"cp.async.wait_group {op.n.value.data};"
    writer.line(f'call void asm sideeffect "{text}", "~{{memory}}"()')


ASYNC_COPIES: Emitters = {
    nvvm.CpAsyncOp: emitter(emit_copy),
    nvvm.CpAsyncBulkOp: emitter(emit_bulk_copy),
    nvvm.CpAsyncCommitGroupOp: emitter(emit_commit),
    nvvm.CpAsyncWaitGroupOp: emitter(emit_wait),
}
