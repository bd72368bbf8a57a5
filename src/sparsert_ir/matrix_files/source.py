"""An open matrix file, what may be read from it, and how a format's reader refuses it."""

import contextlib
import os
import stat
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias, cast

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.errors import MatrixError, MatrixFileNotFoundError, SparsertError

DEFLATE_RATIO = 1032
"""Bytes that one byte of deflate, as in .gz and compressed .npz, can expand to (zlib's manual)."""

_CHUNK = 2**20
_ALWAYS_EXPANDED = 2**26
_NAMES_SHOWN = 8


@dataclass(frozen=True)
class FileLimits:
    """What a matrix file may ask for beyond its own size; raise a limit for a file you trust.

    expanded_bytes: all that is read out of compression (.mtx.gz, compressed .npz). Reading a matrix
                    takes a few times the memory, most for one of 8-bit integers.
    expansion:      times that compressed data may grow, once it grows to more than 64 MiB. A matrix
                    of float32 with 1 % nonzeros grows about 57 times, with 0.2 % 220 times.
    rows:           of formats that need not list their rows (.mtx, scipy's .npz); each costs a row
                    offset even if it is empty.
    """

    expanded_bytes: int = 2**30
    expansion: int = 200
    rows: int = 2**24


@dataclass(frozen=True)
class MatrixFile:
    """A regular file, open for reading, and what the caller asked for.

    size: bytes on disk.
    key:  name of the matrix in a file that can hold several, None for the obvious one.
    seed: for values that the file lacks, None if the caller did not choose.
    """

    path: Path
    stream: BinaryIO
    size: int
    key: str | None
    seed: int | None
    limits: FileLimits


Reader: TypeAlias = Callable[[MatrixFile], Any]
"""Reads one format into what `SparseMatrix.of` takes; raises MatrixError."""


class ByteStream(Protocol):
    """What is needed of an open file or archive member."""

    def read(self, size: int, /) -> bytes: ...


@contextlib.contextmanager
def open_regular(path: Path) -> Generator[tuple[BinaryIO, int]]:
    """The open file and its size; MatrixError for what is no readable regular file."""
    try:
        stream = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    except FileNotFoundError as error:
        raise MatrixFileNotFoundError("expected a matrix file, got no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MatrixError(f"expected a readable matrix file, got: {reason}") from error
    with stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise MatrixError("expected a regular file, got a device, pipe or socket")
        yield stream, status.st_size


def _open_at_once(path: str, flags: int) -> int:
    """Opening a pipe must not wait for somebody to write to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextlib.contextmanager
def refusing(expected: str) -> Generator[None]:
    """Turn whatever a reader raises on hostile bytes into a MatrixError."""
    try:
        yield
    except (SparsertError, MemoryError, Warning):
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {shortened(str(error))}"
        raise MatrixError(f"expected {expected}, got {got}") from error


def read_exactly(stream: ByteStream, size: int, what: str) -> bytes:
    """The next `size` bytes; for a few, as it holds them in memory twice."""
    data = stream.read(size)
    if len(data) != size:
        raise MatrixError(f"expected {size} bytes of {what}, got {len(data)}: truncated file")
    return data


def read_array(stream: ByteStream, dtype: np.dtype[Any], count: int) -> Array:
    """The next `count` elements; the caller has checked that the file can hold so many."""
    array = np.empty(count, dtype)
    rest = memoryview(cast(Any, array.view(np.uint8)))
    total = len(rest)
    while rest:
        data = stream.read(min(len(rest), _CHUNK))
        if not data:
            got = total - len(rest)
            raise MatrixError(f"expected {total} bytes of elements, got {got}: truncated file")
        rest[: len(data)] = data
        rest = rest[len(data) :]
    return array


def check_rows(rows: int, limits: FileLimits) -> None:
    if rows > limits.rows:
        raise MatrixError(
            f"expected at most {limits.rows} rows, got {rows};"
            " raise FileLimits.rows if the file is to be trusted"
        )


def check_expanded(size: int, compressed: int, limits: FileLimits) -> None:
    """MatrixError if `compressed` bytes grow to `size` or more, and that is beyond the limits."""
    if size > limits.expanded_bytes:
        limit, name = limits.expanded_bytes, "expanded_bytes"
    elif size > max(_ALWAYS_EXPANDED, compressed * limits.expansion):
        limit, name = max(_ALWAYS_EXPANDED, compressed * limits.expansion), "expansion"
    else:
        return
    raise MatrixError(
        f"expected compressed data of at most {limit} bytes once expanded, got {size} or more;"
        f" raise FileLimits.{name} if the file is to be trusted"
    )


def choose_name(shapes: dict[str, tuple[int, ...]], key: str | None) -> str:
    """The matrix that is meant: `key`, or "weight", or the only one of rank 2."""
    if key is not None:
        if key in shapes:
            return key
        raise MatrixError(f"expected an array named {key!r}, got {listed(shapes)}")
    if "weight" in shapes:
        return "weight"
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    if len(matrices) == 1:
        return matrices[0]
    raise MatrixError(
        f"expected an array named 'weight' or a single one of rank 2, got {listed(shapes)};"
        " choose one by key=... (--key of sparsert)"
    )


def listed(shapes: dict[str, tuple[int, ...]]) -> str:
    shown = [f"{shortened(name)!r} {shape}" for name, shape in shapes.items()][:_NAMES_SHOWN]
    more = len(shapes) - len(shown)
    return (", ".join(shown) or "none") + (f" and {more} more" if more else "")


def shortened(text: str, limit: int = 120) -> str:
    """Text from a file, short enough for a message."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def product(numbers: Iterable[int]) -> int:
    """In Python integers, which a hostile shape cannot overflow."""
    result = 1
    for number in numbers:
        result *= number
    return result
