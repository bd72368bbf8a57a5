"""sparsert-convert-to-llvm: kernels become functions of the llvm and nvvm dialects."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

from xdsl.context import Context
from xdsl.dialects import func, llvm, memref
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    TensorType,
    UnitAttr,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass

from sparsert_ir.dense import Dense, element_bytes
from sparsert_ir.dialects import gpu, nvvm
from sparsert_ir.dialects.sparsert import (
    AccumulateOp,
    AsyncCopyOp,
    BulkCopyOp,
    LoadColumnsOp,
    WriteRowsOp,
)
from sparsert_ir.errors import IRError
from sparsert_ir.gpu_facts import STATIC_SHARED_MEMORY, WORKGROUP
from sparsert_ir.kernel_function import only_block
from sparsert_ir.lowering.async_copies import ASYNC_COPIES
from sparsert_ir.lowering.cluster import CLUSTER
from sparsert_ir.lowering.control_flow import CONTROL_FLOW
from sparsert_ir.lowering.function import GPU, HOST, FunctionLowering, Rules, Target
from sparsert_ir.lowering.launch import LAUNCH
from sparsert_ir.lowering.memory import MEMORY, library_functions
from sparsert_ir.lowering.multiply_add import MULTIPLY_ADD, SHARED
from sparsert_ir.lowering.numbers import NUMBERS
from sparsert_ir.lowering.tensor_cores import TENSOR_CORES

RULES: Rules = {
    **CONTROL_FLOW,
    **NUMBERS,
    **MEMORY,
    **MULTIPLY_ADD,
    **LAUNCH,
    **CLUSTER,
    **ASYNC_COPIES,
    **TENSOR_CORES,
}
CONSTANTS = "sparsert.constants"
"""Attribute of a kernel: how many of its last arguments are constants of the module."""
_NAME = "sparsert-convert-to-llvm"
_TABLE_ALIGNMENT = 16


@dataclass(frozen=True)
class ConvertToLLVM(ModulePass):
    """Convert `gpu.func`, and host functions that launch nothing, to `llvm.func`; memrefs become
    pointers, `index` an integer of 32 bits on a GPU and 64 on a host, `scf` branches.

    Runs of multiply-adds stay in bulk (`ptr_accumulate`, `ptr_write_rows`) until text is emitted.

    Requires: no tensors; the pattern unrolled or packed; arrays of fewer than 2^31 elements, no
    argument that is written overlapping another.
    Guarantees: kernels hold only llvm, nvvm, cf and pointer-level sparsert operations. Host
    functions that launch kernels stay as they are.
    """

    name = _NAME

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in list(op.body.block.ops):
            if isinstance(inner, gpu.ModuleOp):
                _convert_all(inner.body.block, GPU)
        if not any(isinstance(inner, gpu.ModuleOp) for inner in op.body.block.ops):
            _convert_all(op.body.block, HOST)
            called = [call.callee for call in op.walk() if isinstance(call, llvm.CallOp)]
            names = [callee.string_value() for callee in called if callee is not None]
            op.body.block.add_ops(library_functions(names))


def _convert_all(block: Block, target: Target) -> None:
    changing = _changing_arguments(block)
    dynamic = _asked_for_at_launch(block, target)
    for op in list(block.ops):
        if isinstance(op, memref.GlobalOp):
            _replace(op, _convert_global(op, target, op is dynamic))
        elif isinstance(op, gpu.FuncOp | func.FuncOp) and op.body.blocks:
            _replace(op, _convert_function(op, target, changing))


def _replace(old: Operation, new: Operation) -> None:
    block = old.parent_block()
    assert block is not None
    block.insert_op_before(new, old)
    old.detach()
    old.erase(safe_erase=False)


def _asked_for_at_launch(block: Block, target: Target) -> memref.GlobalOp | None:
    """The largest workgroup memory, where all together is more than a kernel can declare."""
    space_of = FunctionLowering(target, {}).space_of
    shared = [
        op for op in block.ops if isinstance(op, memref.GlobalOp) and space_of(op.type) == WORKGROUP
    ]
    if sum(map(_byte_count, shared)) <= STATIC_SHARED_MEMORY:
        return None
    return max(shared, key=_byte_count)


def _byte_count(op: memref.GlobalOp) -> int:
    """Of one array; each starts where the tables' alignment allows."""
    size = prod(op.type.get_shape()) * element_bytes(op.type.element_type)
    return -(-size // _TABLE_ALIGNMENT) * _TABLE_ALIGNMENT


def _convert_global(op: memref.GlobalOp, target: Target, dynamic: bool) -> llvm.GlobalOp:
    lowering = FunctionLowering(target, {})
    kind = llvm.LLVMArrayType(prod(op.type.get_shape()), op.type.element_type)
    data = cast(Attribute, op.initial_value)
    value = cast(Dense, data) if isinstance(data, DenseIntOrFPElementsAttr) else None
    return llvm.GlobalOp(
        kind,
        op.sym_name,
        "external" if dynamic else "internal",
        lowering.space_of(op.type),
        constant=op.constant is not None and lowering.space_of(op.type) != WORKGROUP,
        value=value,
        alignment=_TABLE_ALIGNMENT,
    )


def _changing_arguments(block: Block) -> frozenset[SSAValue]:
    """Arguments that a caller passes memory of its own, which it may write before and after.

    LLVM takes an invariant load to be so in the whole program, also once the call is inlined.
    """
    functions = {f.sym_name.data: f for f in block.ops if isinstance(f, func.FuncOp)}
    calls = [op for f in functions.values() for op in f.walk() if isinstance(op, func.CallOp)]
    return frozenset(
        only_block(functions[call.callee.string_value()], _NAME).args[number]
        for call in calls
        for number, value in enumerate(call.arguments)
        if isinstance(value.owner, memref.AllocOp)
    )


def _convert_function(
    op: gpu.FuncOp | func.FuncOp, target: Target, changing: frozenset[SSAValue]
) -> llvm.FuncOp:
    lowering = FunctionLowering(target, RULES, SHARED)
    body = only_block(op, _NAME)
    arguments = body.args
    for argument in arguments:
        kind = argument.type
        if isinstance(kind, TensorType):
            raise IRError(
                f"sparsert-convert-to-llvm: expected memrefs in @{op.sym_name.data}, got"
                f" {cast(Attribute, kind)}; run a mapping pass first"
            )
    if op.function_type.outputs.data:
        raise IRError(f"sparsert-convert-to-llvm: expected no results of @{op.sym_name.data}")
    settled = _settled_arguments(op)
    only_read = frozenset(value for value in settled if _is_only_read(value))
    lowering.read_only = only_read - changing
    types = [lowering.type_of(argument.type) for argument in arguments]
    for position, kind in enumerate(types):
        lowering.block.insert_arg(kind, position)
    lowering.bind(arguments, lowering.block.args)
    lowering.lower_body(body)
    return llvm.FuncOp(
        op.sym_name.data,
        llvm.LLVMFunctionType(types),
        llvm.LinkageAttr("internal" if _is_private(op) else "external"),
        body=lowering.region,
        other_props={"arg_attrs": _argument_attributes(arguments, settled, lowering.read_only)},
        extra_attrs=_function_attributes(op),
    )


def _is_private(op: gpu.FuncOp | func.FuncOp) -> bool:
    visibility = op.sym_visibility if isinstance(op, func.FuncOp) else None
    return visibility is not None and visibility.data == "private"


def _is_only_read(value: SSAValue) -> bool:
    """Whether `value` is a memref that every use only loads from."""
    return isinstance(value.type, MemRefType) and all(
        isinstance(use.operation, memref.LoadOp | LoadColumnsOp | AccumulateOp)
        or (isinstance(use.operation, AsyncCopyOp | BulkCopyOp) and use.operation.x is value)
        or (isinstance(use.operation, WriteRowsOp) and use.operation.residual is value)
        or (
            isinstance(use.operation, memref.CollapseShapeOp)
            and _is_only_read(use.operation.result)
        )
        for use in value.uses
    )


def _settled_arguments(op: gpu.FuncOp | func.FuncOp) -> frozenset[SSAValue]:
    """Memory that nothing but the function itself touches while it runs.

    A kernel that waits for the one before it starts while that one still works on its arrays; what
    is settled then is only what its attribute `constants` says: its last arguments.
    """
    arguments = [value for value in op.body.block.args if isinstance(value.type, MemRefType)]
    if any(isinstance(inner, nvvm.GridWaitOp) for inner in op.walk()):
        count = op.attributes.get(CONSTANTS)
        constants = count.value.data if isinstance(count, IntegerAttr) else 0
        arguments = arguments[len(arguments) - constants :]
    return frozenset(arguments)


def _argument_attributes(
    arguments: Sequence[SSAValue],
    settled: frozenset[SSAValue],
    invariant: frozenset[SSAValue],
) -> ArrayAttr[DictionaryAttr]:
    """No settled argument overlaps another that is written."""
    described: list[DictionaryAttr] = []
    for argument in arguments:
        facts: dict[str, Attribute] = {}
        if argument in settled:
            facts["llvm.noalias"] = UnitAttr()
        if argument in invariant:
            facts["llvm.readonly"] = UnitAttr()
        described.append(DictionaryAttr(facts))
    return ArrayAttr(described)


def _function_attributes(op: gpu.FuncOp | func.FuncOp) -> dict[str, Attribute]:
    attributes = dict(op.attributes)
    if isinstance(op, gpu.FuncOp):
        if op.kernel is not None:
            attributes["nvvm.kernel"] = UnitAttr()
        if op.known_block_size is not None:
            attributes["nvvm.reqntid"] = op.known_block_size
        if op.known_cluster_size is not None:
            attributes["nvvm.cluster_dim"] = op.known_cluster_size
    return attributes
