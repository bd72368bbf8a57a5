"""Numpy arrays as .npy members: little-endian, row-major, never pickled.

The format has no name for bf16: it is written as two bytes of anything, as ml_dtypes would.
"""

import ast
import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sparsert_ir.element_types import bfloat16, is_real
from sparsert_ir.errors import ArtefactError

Array = npt.NDArray[Any]

_MAGIC = b"\x93NUMPY\x01\x00"
_BF16 = "<V2"
_DTYPES = (_BF16, "<f2", "<f4", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8")
_LONGEST_HEADER = 512
_HIGHEST_RANK = 4
_ALIGNMENT = 64


def to_npy(array: Array) -> bytes:
    """The array in version 1.0 of numpy's format; ArtefactError for another element type."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    known = little.dtype.str in _DTYPES and is_real(little.dtype)
    if not known:
        raise ArtefactError(f"expected an array of numbers, got element type {array.dtype}")
    shape = ", ".join(map(str, array.shape)) + ("," if array.ndim == 1 else "")
    text = f"{{'descr': '{little.dtype.str}', 'fortran_order': False, 'shape': ({shape}), }}"
    padding = -(len(_MAGIC) + 2 + len(text) + 1) % _ALIGNMENT
    header = (text + " " * padding + "\n").encode("latin-1")
    return _MAGIC + len(header).to_bytes(2, "little") + header + little.tobytes()


def from_npy(name: str, content: bytes) -> Array:
    """A read-only view of what `to_npy` wrote; ArtefactError for anything else."""
    start = len(_MAGIC) + 2
    length = int.from_bytes(content[len(_MAGIC) : start], "little")
    if not content.startswith(_MAGIC) or length > _LONGEST_HEADER:
        raise ArtefactError(f"{name}: expected an array in numpy's format 1.0")
    dtype, shape = _header(name, content[start : start + length])
    numbers = content[start + length :]
    if math.prod(shape) * dtype.itemsize != len(numbers):
        raise ArtefactError(f"{name}: expected {len(numbers)} bytes of {dtype}, got shape {shape}")
    return np.frombuffer(numbers, dtype).reshape(shape)


def _header(name: str, text: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    try:
        header: Any = ast.literal_eval(text.decode("latin-1").strip())
        descr, fortran, shape = (header[key] for key in ("descr", "fortran_order", "shape"))
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise ArtefactError(f"{name}: malformed header") from error
    right = (
        descr in _DTYPES
        and fortran is False
        and isinstance(shape, tuple)
        and len(cast(Any, shape)) <= _HIGHEST_RANK
        and all(type(extent) is int and 0 <= extent < 2**31 for extent in cast(Any, shape))
    )
    if not right:
        raise ArtefactError(f"{name}: expected row-major numbers, got {descr}, {shape}")
    kind = bfloat16() if descr == _BF16 else np.dtype(descr)
    return kind, cast(tuple[int, ...], shape)
