"""The .smtx of the Deep Learning Matrix Collection: a pattern in CSR, without values.

Three lines of whole numbers: "rows, columns, nonzeros"; the row offsets; the column indices
(Gale et al., Sparse GPU Kernels for Deep Learning, 2020, and its data set's README).
"""

import re
import warnings
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsert_ir.errors import MatrixError
from sparsert_ir.matrix_files.source import MatrixFile, shortened

_LIMIT = 2**31 - 1
_HEADER = re.compile(rb"\s*+(\d{1,10})\s*+,\s*+(\d{1,10})\s*+,\s*+(\d{1,10})\s*+")
_ALLOWED = b"0123456789 \t\r"

Numbers = npt.NDArray[np.int64]


class PatternOnlyWarning(UserWarning):
    """The file holds no values; they were drawn."""


def read(file: MatrixFile) -> Any:
    """The pattern as a scipy CSR array, with values drawn from the seed.

    Without a seed from the caller it is 0, and a PatternOnlyWarning says so.
    """
    sparse: Any = import_module("scipy.sparse")
    header, *lines = _lines(file)
    rows, columns, nonzeros = _header(header)
    offsets = _numbers(lines[0], "row offsets", rows + 1)
    indices = _numbers(lines[1], "column indices", nonzeros)
    _check(offsets, indices, columns)
    if file.seed is None:
        warnings.warn(
            f"{file.path}: a .smtx file holds only a pattern; its values were drawn with seed 0"
            " (give a seed to choose, and to silence this)",
            PatternOnlyWarning,
            stacklevel=4,
        )
    values = draw_values(nonzeros, file.seed or 0)
    return sparse.csr_array((values, indices, offsets), shape=(rows, columns))


def draw_values(count: int, seed: int) -> npt.NDArray[np.float32]:
    """`count` numbers of magnitude 0.5 to 1 and either sign; none rounds to 0 in float16.

    The same seed gives the same numbers with every version of numpy: they are made of the bit
    generator's raw output, which numpy keeps stable.
    """
    raw = np.random.PCG64(seed).random_raw(count)
    mantissas = (raw >> np.uint64(41)) | np.uint64(2**23)
    signs = np.where(raw & np.uint64(1), np.float32(1), np.float32(-1))
    return mantissas.astype(np.float32) * np.float32(2**-24) * signs


def _lines(file: MatrixFile) -> list[bytes]:
    """Header, row offsets and column indices; a file without nonzeros may end after two lines."""
    lines = file.stream.read(file.size).split(b"\n", 4)
    while len(lines) > 2 and not lines[-1].strip():
        lines.pop()
    if len(lines) == 2:
        lines.append(b"")
    if len(lines) != 3:
        raise MatrixError(
            "expected three lines (rows, columns, nonzeros; row offsets; column indices),"
            f" got {'more' if len(lines) > 3 else len(lines)}"
        )
    return lines


def _header(line: bytes) -> tuple[int, int, int]:
    match = _HEADER.fullmatch(line)
    if match is None:
        shown = shortened(line[:200].decode("latin-1"))
        raise MatrixError(f"line 1: expected 'rows, columns, nonzeros', got {shown!r}")
    rows, columns, nonzeros = (int(number) for number in match.groups())
    if not (1 <= rows <= _LIMIT and 1 <= columns <= _LIMIT):
        raise MatrixError(f"line 1: expected 1 to {_LIMIT} rows and columns, got {rows}, {columns}")
    return rows, columns, nonzeros


def _numbers(line: bytes, what: str, count: int) -> Numbers:
    """The numbers of a line, which must be `count`; what is allocated follows from the line."""
    bad = line.translate(None, _ALLOWED)
    if bad:
        where = line.index(bad[:1])
        raise MatrixError(f"{what}: expected whole numbers, got {bad[:1]!r} at byte {where}")
    # numpy reads one number from a line of nothing but spaces. What overflows becomes 2^63 - 1.
    numbers = np.fromstring(line, np.int64, sep=" ") if line.strip() else np.empty(0, np.int64)
    if numbers.size != count:
        raise MatrixError(f"{what}: expected {count} numbers as line 1 says, got {numbers.size}")
    return numbers


def _check(offsets: Numbers, indices: Numbers, columns: int) -> None:
    lengths = np.diff(offsets)
    if offsets[0] != 0 or offsets[-1] != indices.size or lengths.min() < 0:
        raise MatrixError(
            f"row offsets: expected them to rise from 0 to {indices.size},"
            f" got {offsets[0]} to {offsets[-1]}, steps from {lengths.min()}"
        )
    if indices.size and indices.max() >= columns:
        raise MatrixError(f"column indices: expected less than {columns}, got {int(indices.max())}")
    places = np.repeat(np.arange(lengths.size), lengths) * columns + indices
    if np.unique(places).size != places.size:
        raise MatrixError("column indices: expected each once in a row, got one twice")
