"""numpy's .npy: one array behind a short header (numpy.lib.format documents it)."""

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.errors import MatrixError
from sparsert_ir.matrix_files.source import (
    ByteStream,
    MatrixFile,
    product,
    read_array,
    read_exactly,
    shortened,
)

HEADER_LIMIT = 2**14
"""Bytes of a header; numpy writes 118, and more only for structured elements."""

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_RANK_LIMIT = 32
_Value: TypeAlias = str | bool | tuple[int, ...]
# numpy evaluates the header as a Python literal; all that numbers need is three entries.
_ENTRY = re.compile(
    r"""\s*+(?P<quote>['"])(?P<name>\w{1,20})(?P=quote)\s*+:\s*+"""
    r"""(?:'(?P<single>[^']*+)'|"(?P<double>[^"]*+)"|(?P<flag>True|False)|\((?P<shape>[\d\s,]*+)\))"""
    r"""\s*+(?:,|(?=\}))"""
)


@dataclass(frozen=True)
class NpyHeader:
    """What a header says, and the bytes it takes itself."""

    dtype: np.dtype[Any]
    fortran_order: bool
    shape: tuple[int, ...]
    size: int

    @property
    def elements(self) -> int:
        return product(self.shape)


def read(file: MatrixFile) -> Array:
    """The only array of a .npy file."""
    return read_npy(file.stream, file.size)


def read_npy(stream: ByteStream, size: int, kinds: str = "fiub") -> Array:
    """An array of which header and elements take `size` bytes; MatrixError otherwise.

    kinds: the kinds of elements to take, by numpy's letters; real numbers unless told.
    """
    header = read_header(stream, size)
    if header.dtype.kind == "O":
        raise MatrixError(
            "expected numbers, got Python objects, which would have to be unpickled;"
            " save the array with a numeric element type"
        )
    # numpy takes a string of no bytes for one of one byte, so that any count would fit the file.
    if header.dtype.kind not in kinds or header.dtype.itemsize == 0:
        raise MatrixError(f"expected real numbers, got element type {header.dtype}")
    expected, got = header.elements * header.dtype.itemsize, size - header.size
    if expected != got:
        raise MatrixError(
            f"expected {expected} bytes for shape {header.shape} of {header.dtype}, got {got}"
        )
    array = read_array(stream, header.dtype, header.elements)
    return array.reshape(header.shape, order="F" if header.fortran_order else "C")


def read_header(stream: ByteStream, size: int) -> NpyHeader:
    """The header of a .npy of `size` bytes; reads no further than its end."""
    start = read_exactly(stream, min(size, 8), "header")
    length_bytes = _LENGTH_BYTES.get((start[6], start[7])) if len(start) == 8 else None
    if start[:6] != _MAGIC or length_bytes is None:
        raise MatrixError(f"expected a .npy header of version 1 to 3, got the bytes {start!r}")
    length = int.from_bytes(read_exactly(stream, length_bytes, "header"), "little")
    header_size = 8 + length_bytes + length
    if header_size > min(size, HEADER_LIMIT):
        raise MatrixError(
            f"expected a header of at most {min(size, HEADER_LIMIT)} bytes, got {header_size}"
        )
    text = read_exactly(stream, length, "header").decode("latin-1")
    entries = _entries(text)
    return NpyHeader(
        _dtype(entries["descr"]),
        _flag(entries["fortran_order"]),
        _shape(entries["shape"]),
        header_size,
    )


def _entries(text: str) -> dict[str, _Value]:
    entries: dict[str, _Value] = {}
    position = 1 if text.startswith("{") else len(text)
    while match := _ENTRY.match(text, position):
        entries[match["name"]] = _value(match)
        position = match.end()
    if text[position:].strip() != "}" or set(entries) != {"descr", "fortran_order", "shape"}:
        raise MatrixError(
            "expected a header with a plain 'descr' such as '<f4', 'fortran_order' and 'shape',"
            f" got {shortened(text)!r}"
        )
    return entries


def _value(match: re.Match[str]) -> _Value:
    if match["flag"]:
        return match["flag"] == "True"
    if match["shape"] is not None:
        return tuple(int(extent) for extent in match["shape"].split(",") if extent.strip())
    return match["single"] or match["double"] or ""


def _dtype(value: _Value) -> np.dtype[Any]:
    if not isinstance(value, str) or not re.fullmatch(r"[<>=|]?[A-Za-z]\d{0,4}", value):
        raise MatrixError(f"expected an element type such as '<f4', got {value!r}")
    return np.dtype(value)


def _flag(value: _Value) -> bool:
    if not isinstance(value, bool):
        raise MatrixError(f"expected 'fortran_order' to be True or False, got {value!r}")
    return value


def _shape(value: _Value) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise MatrixError(f"expected 'shape' to be a tuple, got {value!r}")
    if len(value) > _RANK_LIMIT:
        raise MatrixError(f"expected an array of rank 2, got rank {len(value)}")
    return value
