"""The reference interpreter: what the IR means, at every level before LLVM.

It runs a function on numpy arrays and checks what hardware does not: bounds, data races, divergent
barriers, uninitialised workgroup memory. Slow and exact; its results are what generated code is
compared with.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from xdsl.dialects import func
from xdsl.dialects.builtin import MemRefType, ModuleOp, StringAttr, TensorType
from xdsl.ir import Attribute

from sparsert_ir.dense import Array
from sparsert_ir.errors import ArgumentError
from sparsert_ir.interpreter.async_copies import ASYNC_COPY_HANDLERS
from sparsert_ir.interpreter.bulk_copies import BULK_COPY_HANDLERS
from sparsert_ir.interpreter.cluster_ops import CLUSTER_HANDLERS
from sparsert_ir.interpreter.control_ops import CONTROL_HANDLERS
from sparsert_ir.interpreter.gpu_ops import GPU_HANDLERS
from sparsert_ir.interpreter.linalg_ops import LINALG_HANDLERS
from sparsert_ir.interpreter.machine import Frame, Machine, Value
from sparsert_ir.interpreter.memory import Memory, element_dtype, static_shape
from sparsert_ir.interpreter.memory_ops import MEMORY_HANDLERS
from sparsert_ir.interpreter.number_ops import NUMBER_HANDLERS
from sparsert_ir.interpreter.product_ops import PRODUCT_HANDLERS
from sparsert_ir.interpreter.tensor_core_ops import TENSOR_CORE_HANDLERS
from sparsert_ir.interpreter.tensor_ops import TENSOR_HANDLERS

__all__ = ["interpret"]


def interpret(
    module: ModuleOp, function: str, *arrays: npt.ArrayLike, order_seed: int | None = None
) -> list[Array]:
    """Run `@function` of the module on one array per argument; returns its results.

    A tensor argument is read; a memref argument is used in place, so it must be a C-contiguous
    numpy array, and a writable one where the function stores to it. Blocks of a launch (or the
    clusters that they make) run in ascending order, or shuffled by `order_seed`. Multiply-adds
    round once; every other operation rounds as IEEE 754 does in its element type, which is f16, f32
    or f64 (multiply-adds: not f64).

    Columns that `sparsert.load_columns` reads past the end are NaN, and so is `tensor.empty`.

    Raises ArgumentError for arrays that do not fit, and InterpreterError for an operation that the
    interpreter does not know and for every defect that it finds; the message names the operation,
    the block, the thread and the index.
    """
    handlers = {
        **NUMBER_HANDLERS,
        **CONTROL_HANDLERS,
        **MEMORY_HANDLERS,
        **TENSOR_HANDLERS,
        **LINALG_HANDLERS,
        **PRODUCT_HANDLERS,
        **GPU_HANDLERS,
        **CLUSTER_HANDLERS,
        **ASYNC_COPY_HANDLERS,
        **BULK_COPY_HANDLERS,
        **TENSOR_CORE_HANDLERS,
    }
    machine = Machine(module, handlers, order_seed)
    entry = machine.find(module, StringAttr(function))
    if not isinstance(entry, func.FuncOp) or entry.is_declaration:
        raise ArgumentError(f"interpret: expected @{function} to be a func.func with a body")
    arguments = _arguments(entry, arrays)
    # Hardware computes on infinities and NaN in silence, and so do threads that are switched off.
    with np.errstate(all="ignore"):
        results = Frame(machine, 1).run(entry.body.block, arguments)
    return [_result(kind, value) for kind, value in zip(_outputs(entry), results, strict=True)]


def _outputs(entry: func.FuncOp) -> Sequence[Attribute]:
    return entry.function_type.outputs.data


def _result(kind: Attribute, value: Value) -> Array:
    array = cast(Array, value)
    return np.array(array if isinstance(kind, TensorType) else array[0])


def _arguments(entry: func.FuncOp, arrays: Sequence[npt.ArrayLike]) -> list[Value]:
    types = entry.function_type.inputs.data
    name = entry.sym_name.data
    if len(arrays) != len(types):
        raise ArgumentError(
            f"interpret: expected {len(types)} arrays for @{name}, got {len(arrays)}"
        )
    memories: dict[int, Memory] = {}
    values: list[Value] = []
    for number, (kind, given) in enumerate(zip(types, arrays, strict=True)):
        array = np.asarray(given)
        _check_argument(f"interpret: argument {number} of @{name}", kind, array)
        if isinstance(kind, MemRefType):
            values.append(memories.setdefault(id(given), _memory(array)))
        else:
            values.append(array if isinstance(kind, TensorType) else array.reshape(1))
    return values


def _check_argument(what: str, kind: Attribute, array: Array) -> None:
    dtype = element_dtype(kind)
    shape: tuple[int, ...] = ()
    if isinstance(kind, MemRefType):
        shape = static_shape(cast("MemRefType[Any]", kind))
        if not array.flags.c_contiguous:
            raise ArgumentError(f"{what}: expected a C-contiguous array, got a strided one")
    elif isinstance(kind, TensorType):
        shape = cast("TensorType[Any]", kind).get_shape()
    if array.shape != shape or array.dtype != dtype:
        raise ArgumentError(
            f"{what}: expected {dtype} of shape {shape}, got {array.dtype} of shape {array.shape}"
        )


def _memory(array: Array) -> Memory:
    read_only = not array.flags.writeable
    return Memory(array.reshape(-1), array.shape, read_only=read_only)
