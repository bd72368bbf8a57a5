"""Sparse matrices from the arrays that scipy.sparse.save_npz stores (scipy/sparse/_matrix_io.py).

scipy's own loader and constructors trust the arrays; here each index is checked first.
"""

from importlib import import_module
from typing import Any

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.errors import MatrixError
from sparsert_ir.matrix_files.source import FileLimits, check_rows, listed

SCIPY_NAMES = frozenset({"format", "shape", "data"})
"""Arrays that every sparse .npz holds."""

ARRAYS = SCIPY_NAMES | {"indices", "indptr", "row", "col", "coords", "offsets"}
"""All arrays that some sparse format is made of."""

_LIMIT = 2**31 - 1


def assemble(arrays: dict[str, Array], limits: FileLimits) -> Any:
    """A scipy sparse array; MatrixError for arrays that do not make one."""
    shape = _shape(arrays["shape"])
    check_rows(shape[0], limits)
    if arrays["data"].dtype.kind not in "fiub":
        raise MatrixError(f"expected real numbers, got element type {arrays['data'].dtype}")
    match _format(arrays):
        case "csr" | "csc" | "bsr" as name:
            return _compressed(name, arrays, shape)
        case "coo":
            return _coordinates(arrays, shape)
        case "dia":
            return _diagonals(arrays, shape)
        case other:
            raise MatrixError(f"expected format csr, csc, bsr, coo or dia, got {other!r}")


def _format(arrays: dict[str, Array]) -> str:
    name = arrays["format"]
    if name.size != 1 or name.dtype.kind not in "SU":
        raise MatrixError(f"expected the name of a format, got {name.dtype} of shape {name.shape}")
    value = name.reshape(()).item()
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _shape(array: Array) -> tuple[int, int]:
    if array.shape != (2,) or array.dtype.kind not in "iu":
        shown = array.tolist() if array.size <= 8 else f"an array of shape {array.shape}"
        raise MatrixError(f"expected a shape of two whole numbers, got {shown}")
    rows, columns = (int(extent) for extent in array)
    if not (1 <= rows <= _LIMIT and 1 <= columns <= _LIMIT):
        raise MatrixError(f"expected 1 to {_LIMIT} rows and columns, got {(rows, columns)}")
    return rows, columns


def _compressed(name: str, arrays: dict[str, Array], shape: tuple[int, int]) -> Any:
    sparse: Any = import_module("scipy.sparse")
    data = arrays["data"]
    if name == "bsr" and (data.ndim != 3 or 0 in data.shape[1:] or _remainders(data, shape)):
        raise MatrixError(f"expected blocks that divide {shape}, got data of shape {data.shape}")
    indices = _indices(arrays, "indices", max(shape) - 1)
    offsets = _indices(arrays, "indptr", indices.size)
    kinds = {"csr": sparse.csr_array, "csc": sparse.csc_array, "bsr": sparse.bsr_array}
    return kinds[name]((data, indices, offsets), shape=shape)


def _remainders(blocks: Array, shape: tuple[int, int]) -> bool:
    return bool(shape[0] % blocks.shape[1] or shape[1] % blocks.shape[2])


def _coordinates(arrays: dict[str, Array], shape: tuple[int, int]) -> Any:
    sparse: Any = import_module("scipy.sparse")
    if "coords" in arrays:
        coordinates = arrays["coords"]
        if coordinates.ndim != 2 or coordinates.shape[0] != 2:
            raise MatrixError(f"expected coordinates 2 x nonzeros, got {coordinates.shape}")
        arrays = {**arrays, "row": coordinates[0], "col": coordinates[1]}
    rows = _indices(arrays, "row", shape[0] - 1)
    columns = _indices(arrays, "col", shape[1] - 1)
    return sparse.coo_array((arrays["data"], (rows, columns)), shape=shape)


def _diagonals(arrays: dict[str, Array], shape: tuple[int, int]) -> Any:
    """Row d of the data lies on diagonal offsets[d]; its element c is in column c."""
    sparse: Any = import_module("scipy.sparse")
    data = arrays["data"]
    offsets = _indices(arrays, "offsets", shape[1] - 1, least=1 - shape[0])
    if data.ndim != 2 or data.shape[0] != offsets.size or np.unique(offsets).size != offsets.size:
        raise MatrixError(
            f"expected one row of data for each of {offsets.size} different diagonals,"
            f" got data of shape {data.shape}"
        )
    diagonals, columns = np.nonzero(data[:, : shape[1]])
    rows = columns - offsets[diagonals]
    inside = (rows >= 0) & (rows < shape[0])
    places = rows[inside], columns[inside]
    return sparse.coo_array((data[diagonals[inside], columns[inside]], places), shape=shape)


def _indices(arrays: dict[str, Array], name: str, most: int, least: int = 0) -> Array:
    """An index array as int64, each index in [least, most]."""
    if name not in arrays:
        shapes = {other: array.shape for other, array in arrays.items()}
        raise MatrixError(f"expected an array named {name!r}, got {listed(shapes)}")
    array = arrays[name]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise MatrixError(
            f"{name}: expected whole numbers, got {array.dtype} of shape {array.shape}"
        )
    if array.size and (int(array.min()) < least or int(array.max()) > most):
        raise MatrixError(
            f"{name}: expected numbers from {least} to {most}, got {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)
