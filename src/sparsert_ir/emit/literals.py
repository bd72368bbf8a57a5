"""Types and constants in LLVM IR text. Reference: https://llvm.org/docs/LangRef.html"""

import struct
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import (
    BFloat16Type,
    DenseIntOrFPElementsAttr,
    Float16Type,
    Float32Type,
    Float64Type,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    IntegerType,
    VectorType,
)
from xdsl.dialects.llvm import LLVMArrayType, LLVMPointerType, LLVMVoidType
from xdsl.ir import Attribute

from sparsert_ir.dense import Array, Dense, numpy_dtype, to_numpy
from sparsert_ir.element_types import is_bfloat16, rounded
from sparsert_ir.errors import CodegenError

_WIDEST_INTEGER = 64
_ADDRESS_SPACES = (0, 1, 3, 4, 5, 7)
_GLOBAL_SPACES = (0, 1, 3, 4)
_LONGEST_VECTOR = 4096
"""Elements. LLVM ends the process at wider types, or takes forever."""
ELEMENT_BYTES = {"half": 2, "bfloat": 2, "float": 4, "double": 8}
"""Sizes of LLVM's floating-point types."""


def type_text(kind: Attribute) -> str:
    """A type as LLVM spells it."""
    match kind:
        case Float16Type():
            return "half"
        case BFloat16Type():
            return "bfloat"
        case Float32Type():
            return "float"
        case Float64Type():
            return "double"
        case IntegerType() if kind.width.data <= _WIDEST_INTEGER:
            return f"i{kind.width.data}"
        case VectorType() if kind.element_count() <= _LONGEST_VECTOR:
            return f"<{kind.get_shape()[0]} x {type_text(kind.element_type)}>"
        case LLVMPointerType():
            space = kind.addr_space.data if isinstance(kind.addr_space, IntAttr) else 0
            return f"ptr addrspace({checked_space(space)})" if space else "ptr"
        case LLVMArrayType():
            return f"[{kind.size.data} x {type_text(kind.type)}]"
        case LLVMVoidType():
            return "void"
        case _:
            raise CodegenError(f"no LLVM IR type for {kind}")


def checked_space(space: int) -> int:
    """`space` itself; CodegenError for one that NVPTX lacks, at which LLVM ends the process."""
    if space not in _ADDRESS_SPACES:
        known = ", ".join(map(str, _ADDRESS_SPACES))
        raise CodegenError(f"LLVM IR text: expected an address space of {known}, got {space}")
    return space


def global_space(space: int) -> int:
    """`space` itself; CodegenError for one that NVPTX has no globals in: LLVM ends the process."""
    if space not in _GLOBAL_SPACES:
        known = ", ".join(map(str, _GLOBAL_SPACES))
        raise CodegenError(f"LLVM IR text: expected a global in address space {known}, got {space}")
    return space


def global_name(name: str) -> str:
    """A table's name in LLVM text and PTX, which no function's name can be: they never clash."""
    return f"@{name}$"


def number_texts(values: Array) -> list[str]:
    """Numbers as LLVM literals without their type: exact, floats as their bits.

    LLVM writes a `float` as the bits of the `double` of the same value.
    """
    if values.dtype == np.float16:
        return [f"0xH{bits:04X}" for bits in values.view(np.uint16).tolist()]
    if is_bfloat16(values.dtype):
        return [f"0xR{bits:04X}" for bits in values.view(np.uint16).tolist()]
    if values.dtype.kind == "f":
        bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
        return [f"0x{pattern:016X}" for pattern in bits.tolist()]
    return [str(number) for number in values.tolist()]


def zero_text(element: str) -> str:
    """The literal of 0 in one of LLVM's floating-point types."""
    return {"half": "0xH0000", "bfloat": "0xR0000"}.get(element, "0x0000000000000000")


def splat_text(number: str, element: str, kind: Attribute) -> str:
    """`number` in every lane of a vector type, or itself for a scalar type."""
    return f"splat ({element} {number})" if isinstance(kind, VectorType) else number


def constant_text(value: Attribute, kind: Attribute) -> str:
    """A constant attribute as a literal of LLVM type `kind`, without the type."""
    match value:
        case IntegerAttr():
            return str(value.value.data)
        case FloatAttr():
            return _float_text(value.value.data, cast(Attribute, value.type))
        case DenseIntOrFPElementsAttr() if isinstance(kind, VectorType):
            return _vector_text(cast(Dense, value), cast(VectorType[Any], kind))
        case _:
            raise CodegenError(f"no LLVM IR literal for {value}")


def _float_text(value: float, kind: Attribute) -> str:
    if isinstance(kind, Float16Type | BFloat16Type):
        return number_texts(rounded(np.array([value]), numpy_dtype(kind)))[0]
    nearest = value if isinstance(kind, Float64Type) else float(np.float32(value))
    return f"0x{struct.unpack('<Q', struct.pack('<d', nearest))[0]:016X}"


def _vector_text(value: Dense, kind: VectorType[Any]) -> str:
    element = type_text(kind.element_type)
    if value.is_splat():
        number = constant_text(value.get_attrs()[0], kind.element_type)
        return splat_text(number, element, kind)
    numbers = number_texts(to_numpy(value).ravel())
    return f"<{', '.join(f'{element} {number}' for number in numbers)}>"


def array_text(value: Dense, kind: LLVMArrayType) -> str:
    """The contents of a global array."""
    element = type_text(kind.type)
    numbers = number_texts(to_numpy(value).ravel())
    return f"[{', '.join(f'{element} {number}' for number in numbers)}]"
