"""Numpy arrays in and out of the bulk attribute `DenseIntOrFPElementsAttr`.

Both directions are one copy of bytes, whatever the size: a matrix never becomes a Python list.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    AnyFloat,
    BFloat16Type,
    BytesAttr,
    DenseIntOrFPElementsAttr,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    TensorType,
    bf16,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.ir import Attribute

from sparsert_ir.element_types import bfloat16

Dense: TypeAlias = DenseIntOrFPElementsAttr[Any]
Array: TypeAlias = npt.NDArray[Any]
IntArray: TypeAlias = npt.NDArray[np.int32]

_ELEMENT_TYPES: dict[str, AnyFloat | IntegerType] = {
    "float16": f16,
    "bfloat16": bf16,
    "float32": f32,
    "float64": f64,
    "int8": i8,
    "int16": i16,
    "int32": i32,
    "int64": i64,
}


def numpy_dtype(element_type: Attribute) -> np.dtype[Any]:
    """The numpy element type of an MLIR element type; `KeyError` for one that numpy lacks."""
    match element_type:
        case BFloat16Type():
            return bfloat16()
        case Float16Type():
            return np.dtype(np.float16)
        case Float32Type():
            return np.dtype(np.float32)
        case Float64Type():
            return np.dtype(np.float64)
        case IntegerType():
            return np.dtype(f"int{element_type.width.data}")
        case _:
            raise KeyError(f"no numpy element type for {element_type}")


def element_bytes(element_type: Attribute) -> int:
    """Bytes of an element of an MLIR element type."""
    return cast(AnyFloat | IntegerType, element_type).bitwidth // 8


def element_type_of(dtype: np.dtype[Any]) -> AnyFloat | IntegerType:
    """The MLIR element type of a numpy element type; `KeyError` where there is none."""
    return _ELEMENT_TYPES[dtype.name]


def to_dense(array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Dense:
    """`array` as `dense<...> : tensor<shape x element type>`, little-endian and row-major."""
    contiguous = np.ascontiguousarray(array, dtype=dtype)
    element_type = element_type_of(contiguous.dtype)
    little_endian = contiguous.astype(contiguous.dtype.newbyteorder("<"), copy=False)
    shaped = TensorType(element_type, np.shape(array))
    return cast(Dense, DenseIntOrFPElementsAttr(shaped, BytesAttr(little_endian.tobytes())))


def to_numpy(dense: Dense) -> Array:
    """A read-only view of the elements in the attribute's shape; no copy."""
    shape: Sequence[int] = dense.get_shape()
    dtype = numpy_dtype(cast(Attribute, dense.get_element_type()))
    return np.frombuffer(dense.data.data, dtype=dtype.newbyteorder("<")).reshape(shape)


def row_numbers(row_offsets: Array) -> Array:
    """The row of each nonzero of a CSR matrix."""
    return np.repeat(np.arange(row_offsets.size - 1), np.diff(row_offsets))
