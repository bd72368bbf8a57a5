"""What a module must hold before it becomes LLVM IR text: names that stay names, known forms.

IR text from outside may name a symbol anything at all, and LLVM ends the process on some malformed
function attributes, so both are refused here.
"""

import math
import re

from xdsl.dialects import llvm
from xdsl.dialects.builtin import DenseArrayBase, SymbolRefAttr
from xdsl.ir import Operation

from sparsert_ir.errors import IRError
from sparsert_ir.gpu_facts import BLOCK_THREADS

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTRINSIC = re.compile(r"llvm\.[A-Za-z0-9_.]+")
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
                _expect(known, f"the name of an intrinsic, got {name!r}")
            case _:
                pass


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
    size = op.attributes.get("nvvm.reqntid")
    if isinstance(size, DenseArrayBase):
        sizes = [int(extent) for extent in size.get_values()]
        good = len(sizes) == 3 and min(sizes) >= 1 and math.prod(sizes) <= BLOCK_THREADS
        _expect(good, f"three sizes of a block of at most {BLOCK_THREADS} threads, got {sizes}")
