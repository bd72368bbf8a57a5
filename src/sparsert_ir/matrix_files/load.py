"""Reads a weight matrix, or a layer, from a file of any known format."""

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sparsert_ir.dense import Array
from sparsert_ir.errors import ArgumentError, MatrixError
from sparsert_ir.files import path_of
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.matrix_files import mtx, npy, npz, safetensors, smtx
from sparsert_ir.matrix_files.source import FileLimits, MatrixFile, Reader, open_regular, refusing

READERS: dict[str, Reader] = {
    ".npy": npy.read,
    ".npz": npz.read,
    ".mtx": mtx.read,
    ".mtx.gz": mtx.read_compressed,
    ".smtx": smtx.read,
    ".safetensors": safetensors.read,
}
"""How each format is read, by the end of the file's name in lower case."""

NAMED = frozenset({".npz", ".safetensors"})
"""Formats that hold several arrays, chosen by `key`."""

_PICKLED = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
_COLUMNS_LIMIT = 2**31 - 1

DEFAULT_LIMITS = FileLimits()


@dataclass(frozen=True, eq=False)
class LayerFile:
    """A layer as stored in a .npz with the arrays `weight`, `bias` and `n`.

    weight: M x K.
    bias:   M numbers in float32, None if the file has none.
    n:      columns of x that the layer is meant for, None if the file does not tell.
    """

    weight: SparseMatrix
    bias: Array | None
    n: int | None


def load_matrix(
    path: str | os.PathLike[str],
    key: str | None = None,
    *,
    dtype: npt.DTypeLike = np.float32,
    seed: int | None = None,
    limits: FileLimits = DEFAULT_LIMITS,
) -> SparseMatrix:
    """Read a weight matrix from .npy, .npz, .mtx, .mtx.gz, .smtx or .safetensors.

    key:    name of the array in a .npz or .safetensors; unless told, it is the sparse matrix that
            scipy.sparse.save_npz stored, else `weight`, else the only array of rank 2.
    dtype:  float32 or float16, which values are rounded to.
    seed:   for the values of a .smtx, which holds none; without it they are drawn with seed 0 and
            a PatternOnlyWarning says so. Other formats do not use it.
    limits: what the file may ask for beyond its own size.

    Raises MatrixError for whatever the file holds that is no such matrix, and for what
    `SparseMatrix.of` refuses; MatrixFileNotFoundError if there is no file; ArgumentError for a key
    that the format has no use for, a bad seed, and a format whose package is not installed.
    """
    if seed is not None and seed < 0:
        raise ArgumentError(f"seed: expected a whole number of 0 or more, got {seed}")
    path = path_of(path)
    suffix = _suffix_for(path, key)
    with _naming(path):
        return SparseMatrix.of(_read(path, suffix, key, seed, limits), dtype)


def load_filter(
    path: str | os.PathLike[str],
    key: str | None = None,
    *,
    limits: FileLimits = DEFAULT_LIMITS,
) -> Array:
    """Read a convolution's filter, (O, I / groups, height, width), from .npy, .npz or .safetensors.

    Arguments and errors as of `load_matrix`; MatrixError for an array of another rank.
    """
    path = path_of(path)
    suffix = _suffix_for(path, key)
    with _naming(path):
        found = _read(path, suffix, key, None, limits)
        shape: tuple[int, ...] = found.shape
        if not isinstance(found, np.ndarray) or len(shape) != 4:
            what = "a filter of rank 4, (O, I / groups, height, width)"
            raise MatrixError(f"expected {what}, got shape {shape}")
        return cast(Array, found)


def _suffix_for(path: Path, key: str | None) -> str:
    """The format of a file, which must have a use for the key."""
    suffix = _suffix(path)
    if key is not None and suffix not in NAMED:
        raise ArgumentError(f"key: expected None for {suffix}, which holds one matrix, got {key!r}")
    return suffix


def _read(path: Path, suffix: str, key: str | None, seed: int | None, limits: FileLimits) -> Any:
    with open_regular(path) as (stream, size), refusing(f"a {suffix} file"):
        return READERS[suffix](MatrixFile(path, stream, size, key, seed, limits))


def load_layer(
    path: str | os.PathLike[str],
    *,
    dtype: npt.DTypeLike = np.float32,
    limits: FileLimits = DEFAULT_LIMITS,
) -> LayerFile:
    """Read the arrays `weight` and, where present, `bias` and `n` of a .npz; others are ignored.

    Raises what `load_matrix` raises, and MatrixError for a bias that is not M finite numbers and
    for an n that is not one whole number of 1 or more.
    """
    path = path_of(path)
    if _suffix(path) != ".npz":
        raise MatrixError(f"{path}: expected a .npz with the arrays weight, bias and n")
    with _naming(path), open_regular(path) as (stream, size):
        file = MatrixFile(path, stream, size, "weight", None, limits)
        with refusing("a .npz file"), npz.open_npz(file) as archive:
            archive.require("weight")
            weight = archive.read("weight")
            bias = archive.read("bias") if "bias" in archive.names else None
            n = archive.read("n") if "n" in archive.names else None
        matrix = SparseMatrix.of(weight, dtype)
        return LayerFile(
            matrix,
            None if bias is None else _bias(bias, matrix.shape[0]),
            None if n is None else _columns(n),
        )


def load_bias(path: str | os.PathLike[str], *, limits: FileLimits = DEFAULT_LIMITS) -> Array | None:
    """The array `bias` of a .npz, whatever its shape; None where there is none, and for other
    formats. Raises MatrixError for a file that is damaged.
    """
    return _beside(path, "bias", limits)


def load_columns(
    path: str | os.PathLike[str], *, limits: FileLimits = DEFAULT_LIMITS
) -> int | None:
    """The number `n` of a .npz; None where there is none, and for other formats. Raises MatrixError
    for a file that is damaged and for what is not one whole number of 1 or more.
    """
    n = _beside(path, "n", limits)
    with _naming(path_of(path)):
        return None if n is None else _columns(n)


def _beside(path: str | os.PathLike[str], name: str, limits: FileLimits) -> Array | None:
    """An array that a .npz has beside the weight."""
    path = path_of(path)
    if _suffix(path) != ".npz":
        return None
    with _naming(path), open_regular(path) as (stream, size):
        file = MatrixFile(path, stream, size, name, None, limits)
        with refusing("a .npz file"), npz.open_npz(file) as archive:
            return archive.read(name) if name in archive.names else None


def _suffix(path: Path) -> str:
    name = path.name.lower()
    for suffix in READERS:
        if name.endswith(suffix):
            return suffix
    if path.suffix.lower() in _PICKLED:
        raise MatrixError(
            f"{path}: expected {', '.join(READERS)}; {path.suffix} files are pickles, which may run"
            " code and are never read: save the weight as .safetensors, or pass the tensor itself"
        )
    raise MatrixError(f"{path}: expected a name that ends in {', '.join(READERS)}")


@contextlib.contextmanager
def _naming(path: Path) -> Generator[None]:
    """Put the file in front of what is wrong with it."""
    try:
        yield
    except MatrixError as error:
        raise type(error)(f"{path}: {error}") from error


def _bias(bias: Array, rows: int) -> Array:
    with np.errstate(over="ignore"):
        rounded = bias.astype(np.float32)
    if rounded.shape != (rows,):
        raise MatrixError(f"bias: expected {rows} numbers, got shape {rounded.shape}")
    if not np.isfinite(rounded).all():
        raise MatrixError("bias: expected finite numbers, also once rounded to float32")
    return rounded


def _columns(n: Array) -> int:
    if n.size != 1 or n.dtype.kind not in "iu":
        raise MatrixError(f"n: expected one whole number, got {n.dtype} of shape {n.shape}")
    columns = int(n.reshape(()))
    if not 1 <= columns <= _COLUMNS_LIMIT:
        raise MatrixError(f"n: expected 1 to {_COLUMNS_LIMIT} columns, got {columns}")
    return columns
