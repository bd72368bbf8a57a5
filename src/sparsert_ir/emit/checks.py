"""What a module must hold before it becomes LLVM IR text: names that stay names, known forms.

IR text from outside may name a symbol anything at all, and LLVM ends the process on some malformed
function attributes, so both are refused here.
"""

import math
import re

from xdsl.dialects import llvm
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, SymbolRefAttr
from xdsl.ir import Operation

from sparsert_ir.dialects import nvvm
from sparsert_ir.errors import IRError
from sparsert_ir.gpu_facts import BLOCK_THREADS, CLUSTER_BLOCKS, MIN_BLOCKS, architecture_number

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTRINSIC = re.compile(r"llvm\.(fma|maximum|umin|ctpop|fabs)\.(v[0-9]+)?[a-z]+[0-9]+")
"""Those that kernels need, and one for examples. At many others LLVM ends the process, depending on
the target: add what a new lowering needs once it is known to work on all of them."""
_CLUSTERS_FROM = 90
_MOST_BLOCKS = 32
"""That a multiprocessor of any GPU holds at once."""
_FROM_SM_80 = (
    nvvm.CpAsyncOp,
    nvvm.CpAsyncCommitGroupOp,
    nvvm.CpAsyncWaitGroupOp,
    nvvm.LdMatrixOp,
    nvvm.MmaSyncOp,
)
_FROM_SM_90 = (
    nvvm.CpAsyncBulkOp,
    nvvm.ClusterArriveRelaxedOp,
    nvvm.ClusterWaitOp,
    nvvm.MapaOp,
    nvvm.MbarrierInitOp,
    nvvm.MbarrierArriveExpectTxOp,
    nvvm.MbarrierWaitParityOp,
    nvvm.FenceMbarrierInitOp,
    nvvm.StAsyncOp,
    nvvm.GridLaunchDependentsOp,
    nvvm.GridWaitOp,
)
_ARGUMENT_FACTS = ("llvm.noalias", "llvm.readonly")


def check_module(module: Operation) -> None:
    """Raise IRError for what cannot be written as LLVM IR text."""
    for op in module.walk():
        match op:
            case llvm.GlobalOp():
                _check_name(op.sym_name.data)
                _expect(
                    isinstance(op.global_type, llvm.LLVMArrayType),
                    f"a global of an array type, got {op.global_type}",
                )
            case llvm.FuncOp():
                _check_name(op.sym_name.data)
                _check_function(op)
            case llvm.AddressOfOp():
                _check_reference(op.global_name)
            case llvm.CallOp() if op.callee is not None:
                _check_reference(op.callee)
            case llvm.CallIntrinsicOp():
                name = op.intrin.data
                known = _INTRINSIC.fullmatch(name) is not None
                _expect(known, f"llvm.fma, maximum, umin, ctpop or fabs on a type, got {name!r}")
            case _:
                pass


def check_instructions(module: Operation, architecture: str) -> None:
    """Raise IRError for what the architecture lacks: LLVM would end the process."""
    number = architecture_number(architecture)
    for op in module.walk():
        for oldest, kinds in ((80, _FROM_SM_80), (90, _FROM_SM_90)):
            if isinstance(op, kinds) and number < oldest:
                raise IRError(f"PTX: {op.name} needs sm_{oldest} or later, got {architecture}")
        clustered = isinstance(op, llvm.FuncOp) and "nvvm.cluster_dim" in op.attributes
        if clustered and number < _CLUSTERS_FROM:
            raise IRError(f"PTX: clusters need sm_{_CLUSTERS_FROM} or later, got {architecture}")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise IRError(f"LLVM IR text: expected {what}")


def _check_name(name: str) -> None:
    _expect(_NAME.fullmatch(name) is not None, f"a name of letters, digits and _, got {name!r}")


def _check_reference(name: SymbolRefAttr) -> None:
    _expect(not name.nested_references.data, f"a name in the same module, got {name}")
    _check_name(name.root_reference.data)


def _check_function(op: llvm.FuncOp) -> None:
    kind = op.function_type
    plain = isinstance(kind.output, llvm.LLVMVoidType) and not kind.is_variadic
    _expect(plain, f"a function without results, got {kind}")
    if op.body.blocks:
        arguments = [argument.type for argument in op.body.blocks[0].args]
        _expect(arguments == list(kind.inputs), f"block arguments as in {kind}")
    for described in op.arg_attrs.data if op.arg_attrs is not None else ():
        for fact in described.data:
            _expect(fact in _ARGUMENT_FACTS, f"one of {', '.join(_ARGUMENT_FACTS)}, got {fact}")
    _check_sizes(op, "nvvm.reqntid", BLOCK_THREADS, "a block of at most {} threads")
    _check_sizes(op, "nvvm.cluster_dim", CLUSTER_BLOCKS, "a cluster of at most {} blocks")
    blocks = op.attributes.get(MIN_BLOCKS)
    if blocks is not None:
        count = blocks.value.data if isinstance(blocks, IntegerAttr) else 0
        _expect(1 <= count <= _MOST_BLOCKS, f"{MIN_BLOCKS} of 1 to {_MOST_BLOCKS}, got {blocks}")


def _check_sizes(op: llvm.FuncOp, name: str, most: int, what: str) -> None:
    attribute = op.attributes.get(name)
    if isinstance(attribute, DenseArrayBase):
        sizes = [int(extent) for extent in attribute.get_values()]
        good = len(sizes) == 3 and min(sizes) >= 1 and math.prod(sizes) <= most
        _expect(good, f"three sizes of {what.format(most)}, got {sizes}")
