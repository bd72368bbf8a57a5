"""Matrix Market .mtx and .mtx.gz (math.nist.gov/MatrixMarket/formats.html).

scipy.io reads them too, but its native reader (scipy 1.17) allocates what the header asks
for, and ends the process on a file that ends in "1E". numpy's text reader allocates as it reads.
"""

import gzip
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.errors import MatrixError
from sparsert_ir.matrix_files.source import (
    FileLimits,
    MatrixFile,
    check_expanded,
    check_rows,
    shortened,
)

_CHUNK = 2**20
_LINE_LIMIT = 2**12
"""Bytes of a line before the entries; the format allows 1024."""
_LIMIT = 2**31 - 1

_BANNER = re.compile(r"%%MatrixMarket\s+matrix\s+(\S+)\s+(\S+)\s+(\S+)\s*", re.IGNORECASE)
_ALLOWED = (
    ("coordinate", "array"),
    ("real", "integer", "unsigned-integer", "pattern"),
    ("general", "symmetric", "skew-symmetric"),
)


@dataclass(frozen=True)
class _Header:
    """layout: "coordinate" or "array"; numbers: those of the size line."""

    layout: str
    field: str
    symmetry: str
    numbers: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return self.numbers[0], self.numbers[1]


def read(file: MatrixFile) -> Any:
    """A .mtx; a pattern's values are 1, and symmetric halves are completed."""
    return _read_text(file.stream, file.limits)


def read_compressed(file: MatrixFile) -> Any:
    """A .mtx.gz, expanded in memory up to the limit."""
    return _read_text(io.BytesIO(_expanded(file)), file.limits)


def _expanded(file: MatrixFile) -> bytes:
    chunks: list[bytes] = []
    size = 0
    with gzip.GzipFile(fileobj=file.stream) as stream:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            check_expanded(size, file.size, file.limits)
            chunks.append(chunk)
    return b"".join(chunks)


def _read_text(stream: BinaryIO, limits: FileLimits) -> Any:
    header = _header(stream)
    if header.layout == "array":
        return _dense(header, _entries(stream, [("value", np.float64)]))
    check_rows(header.shape[0], limits)
    fields: list[tuple[str, Any]] = [("row", np.int64), ("column", np.int64)]
    if header.field != "pattern":
        fields.append(("value", np.float64))
    return _coordinates(header, _entries(stream, fields))


def _header(stream: BinaryIO) -> _Header:
    lines = _lines(stream)
    banner = next(lines, "")
    match = _BANNER.fullmatch(banner)
    if match is None:
        raise MatrixError(
            "expected '%%MatrixMarket matrix', then layout, field and symmetry,"
            f" got {shortened(banner)!r}"
        )
    words = tuple(word.lower() for word in match.groups())
    for word, allowed in zip(words, _ALLOWED, strict=True):
        if word not in allowed:
            raise MatrixError(f"expected one of {', '.join(allowed)}, got {shortened(word)!r}")
    layout, field, symmetry = words
    if layout == "array" and field == "pattern":
        raise MatrixError("expected coordinates for a pattern, got an array")
    comments = (line for line in lines if line.strip() and not line.startswith("%"))
    numbers = _sizes(next(comments, ""), 3 if layout == "coordinate" else 2)
    header = _Header(layout, field, symmetry, numbers)
    rows, columns = header.shape
    if not (1 <= rows <= _LIMIT and 1 <= columns <= _LIMIT):
        raise MatrixError(f"expected 1 to {_LIMIT} rows and columns, got {rows} x {columns}")
    if symmetry != "general" and rows != columns:
        raise MatrixError(f"expected a square {symmetry} matrix, got {rows} x {columns}")
    return header


def _lines(stream: BinaryIO) -> Iterator[str]:
    while line := stream.readline(_LINE_LIMIT):
        yield line.decode("latin-1")


def _sizes(line: str, count: int) -> tuple[int, ...]:
    words = line.split()
    if len(words) != count or not all(re.fullmatch(r"[0-9]{1,19}", word) for word in words):
        what = "rows, columns and entries" if count == 3 else "rows and columns"
        raise MatrixError(f"expected a line of {what}, got {shortened(line)!r}")
    return tuple(int(word) for word in words)


def _entries(stream: BinaryIO, fields: list[tuple[str, Any]]) -> Array:
    """The lines that are left, one element each with the fields given."""
    lines = (line for line in (raw.decode("latin-1") for raw in stream) if line.strip())
    first = next(lines, None)
    # numpy warns of an input without lines.
    if first is None:
        return np.empty(0, fields)
    return np.loadtxt(itertools.chain([first], lines), np.dtype(fields), comments=None, ndmin=1)


def _check_count(expected: int, entries: Array) -> None:
    if entries.size != expected:
        raise MatrixError(f"expected {expected} entries as the header says, got {entries.size}")


def _dense(header: _Header, entries: Array) -> Array:
    """Values go down the columns, in symmetric matrices from the diagonal or below it."""
    rows, columns = header.shape
    values = entries["value"]
    if header.symmetry == "general":
        _check_count(rows * columns, entries)
        return values.reshape((columns, rows)).T
    below = 1 if header.symmetry == "skew-symmetric" else 0
    _check_count((rows - below) * (rows - below + 1) // 2, entries)
    dense = np.zeros((rows, rows))
    upper = np.triu_indices(rows, below)
    dense[upper] = -values if below else values
    dense.T[upper] = values
    return dense


def _coordinates(header: _Header, entries: Array) -> Any:
    _check_count(header.numbers[2], entries)
    rows = _indices(entries["row"], header.shape[0], "row")
    columns = _indices(entries["column"], header.shape[1], "column")
    values = np.ones(entries.size) if header.field == "pattern" else entries["value"]
    if header.symmetry != "general":
        off = rows != columns
        mirrored = -values[off] if header.symmetry == "skew-symmetric" else values[off]
        rows, columns = np.append(rows, columns[off]), np.append(columns, rows[off])
        values = np.append(values, mirrored)
    sparse: Any = import_module("scipy.sparse")
    return sparse.coo_array((values, (rows, columns)), shape=header.shape)


def _indices(numbers: Array, extent: int, what: str) -> Array:
    """From 1 in the file to 0."""
    if numbers.size and not (numbers.min() >= 1 and numbers.max() <= extent):
        raise MatrixError(
            f"expected a {what} from 1 to {extent}, got {numbers.min()} to {numbers.max()}"
        )
    return numbers - 1
