""".safetensors: named tensors, read by the `safetensors` package (the extra of the same name)."""

import json
from importlib import import_module
from typing import Any

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.errors import ArgumentError, MatrixError
from sparsert_ir.matrix_files.source import (
    MatrixFile,
    choose_name,
    product,
    read_array,
    read_exactly,
)

_NUMPY_TYPES = frozenset(
    {"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}
)


def read(file: MatrixFile) -> Array:
    """The tensor named by the key, or the obvious one; bfloat16 becomes float32, exactly."""
    library = _library()
    # The package checks the header against the file's size, and the offsets against each other.
    # It reads rather than maps: a mapped file that somebody truncates kills the process.
    with library.safe_open(file.path, framework="numpy", backend="pread") as tensors:
        shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        name = choose_name(shapes, file.key)
        dtype: str = tensors.get_slice(name).get_dtype()
        if dtype == "BF16":
            return _read_bfloat16(file, name, shapes[name])
        if dtype not in _NUMPY_TYPES:
            raise MatrixError(f"{name!r}: expected real numbers, got element type {dtype}")
        return tensors.get_tensor(name)


def _library() -> Any:
    try:
        return import_module("safetensors")
    except ImportError as error:
        raise ArgumentError(
            "expected the package safetensors for .safetensors files, got an environment without"
            " it; run: pip install 'sparsert_ir[safetensors]'"
        ) from error


def _read_bfloat16(file: MatrixFile, name: str, shape: tuple[int, ...]) -> Array:
    """numpy has no bfloat16: it is the upper half of a float32. The package checked the file."""
    length = int.from_bytes(read_exactly(file.stream, 8, "header length"), "little")
    header: dict[str, Any] = json.loads(read_exactly(file.stream, length, "header"))
    begin, end = header[name]["data_offsets"]
    # A name that stands twice may have been read differently there.
    if not (begin >= 0 and end - begin == 2 * product(shape) and 8 + length + end <= file.size):
        raise MatrixError(f"{name!r}: expected {shape} in the file, got bytes {begin} to {end}")
    file.stream.seek(8 + length + begin)
    halves = read_array(file.stream, np.dtype("<u2"), (end - begin) // 2)
    return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(shape)
