"""`nvgpu` becomes `nvvm`."""

from collections.abc import Sequence

from xdsl.ir import SSAValue

from sparsert_ir.dialects import nvgpu, nvvm
from sparsert_ir.lowering.cluster import check_in_kernel
from sparsert_ir.lowering.function import FunctionLowering, Rules, rule
from sparsert_ir.lowering.memory import address


def lower_ldmatrix(lowering: FunctionLowering, op: nvgpu.LdMatrixOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    row = address(lowering, op.source, op.indices)
    return [lowering.insert(nvvm.LdMatrixOp(row, op.result.type))]


def lower_mma_sync(lowering: FunctionLowering, op: nvgpu.MmaSyncOp) -> Sequence[SSAValue]:
    check_in_kernel(lowering, op)
    return [lowering.insert(nvvm.MmaSyncOp(*lowering.values(op.operands)))]


TENSOR_CORES: Rules = {
    nvgpu.LdMatrixOp: rule(lower_ldmatrix),
    nvgpu.MmaSyncOp: rule(lower_mma_sync),
}
