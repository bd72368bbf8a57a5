"""`gpu` becomes `nvvm`."""

from collections.abc import Sequence

from xdsl.dialects import llvm
from xdsl.ir import Operation, SSAValue

from sparsert_ir.dialects import gpu, nvvm
from sparsert_ir.lowering.function import FunctionLowering, Rule, Rules, rule

_THREAD = {"x": nvvm.ThreadIdXOp, "y": nvvm.ThreadIdYOp, "z": nvvm.ThreadIdZOp}
_BLOCK = {"x": nvvm.BlockIdXOp, "y": nvvm.BlockIdYOp, "z": nvvm.BlockIdZOp}
_SHUFFLE = {
    "xor": nvvm.ShuffleBflyOp,
    "down": nvvm.ShuffleDownOp,
    "up": nvvm.ShuffleUpOp,
    "idx": nvvm.ShuffleIdxOp,
}


def _register(registers: dict[str, type[nvvm.SpecialRegisterOp]]) -> Rule:
    def lower(lowering: FunctionLowering, op: gpu.ThreadIdOp | gpu.BlockIdOp) -> Sequence[SSAValue]:
        return [lowering.insert(registers[op.dimension.data]())]

    return rule(lower)  # pyright: ignore[reportArgumentType]


def lower_barrier(lowering: FunctionLowering, op: gpu.BarrierOp) -> Sequence[SSAValue]:
    lowering.do(nvvm.Barrier0Op())
    return []


def lower_shuffle(lowering: FunctionLowering, op: gpu.ShuffleOp) -> Sequence[SSAValue]:
    kind = _SHUFFLE[op.mode.data.value]
    return [lowering.insert(kind(lowering.value(op.value), op.offset))]


def lower_return(lowering: FunctionLowering, op: Operation) -> Sequence[SSAValue]:
    lowering.do(llvm.ReturnOp())
    return []


def lower_unchanged(lowering: FunctionLowering, op: Operation) -> Sequence[SSAValue]:
    """An operation of nvvm without operands and results."""
    lowering.do(op.clone())
    return []


LAUNCH: Rules = {
    gpu.ThreadIdOp: _register(_THREAD),  # pyright: ignore[reportArgumentType]
    gpu.BlockIdOp: _register(_BLOCK),  # pyright: ignore[reportArgumentType]
    gpu.BarrierOp: rule(lower_barrier),
    gpu.ShuffleOp: rule(lower_shuffle),
    gpu.ReturnOp: rule(lower_return),
    nvvm.GridLaunchDependentsOp: rule(lower_unchanged),
    nvvm.GridWaitOp: rule(lower_unchanged),
}
