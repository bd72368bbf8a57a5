"""The project's own matrix type: CSR in numpy, checked once when it is made."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from sparsert_ir.dense import Array
from sparsert_ir.element_types import is_real, rounded
from sparsert_ir.errors import ArgumentError, MatrixError
from sparsert_ir.torch_matrices import is_torch, matrix_of_torch

MatrixLike: TypeAlias = "SparseMatrix | npt.ArrayLike | Any"
"""A `SparseMatrix`, a 2-D numpy array, a scipy sparse array or matrix of any format, a 2-D torch
tensor of any layout, or a `torch.nn.Linear`, pruned or not."""

_LIMIT = 2**31 - 1
_VALUE_TYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """An M x K matrix in CSR; stored zeros are not allowed, indices ascend within each row.

    row_offsets:    int32, M + 1 numbers.
    column_indices: int32, one per nonzero.
    values:         float32, float16 or ml_dtypes.bfloat16, one per nonzero, finite and not 0.
    shape:          (M, K), each of 1 or more.
    """

    row_offsets: Array
    column_indices: Array
    values: Array
    shape: tuple[int, int]

    @classmethod
    def of(cls, matrix: MatrixLike, dtype: npt.DTypeLike = np.float32) -> "SparseMatrix":
        """Take any matrix; zeros and what `numpy.ma` masks are dropped, duplicate entries added,
        values rounded to `dtype`.

        Raises MatrixError for a wrong rank, an empty dimension, malformed or overflowing indices,
        an element type that is not real, and values that are not finite, also once rounded;
        ArgumentError for a `dtype` other than these three.
        """
        _check_element_type(np.dtype(dtype))
        if isinstance(matrix, SparseMatrix):
            return matrix.astype(dtype)
        if is_torch(matrix):
            matrix = matrix_of_torch(matrix)
        if hasattr(matrix, "tocsr"):
            return _of_scipy(matrix, np.dtype(dtype))
        return _of_dense(_as_array(matrix), np.dtype(dtype))

    def astype(self, dtype: npt.DTypeLike) -> "SparseMatrix":
        """The same matrix with values rounded to `dtype`; what rounds to 0 is dropped."""
        _check_element_type(np.dtype(dtype))
        if self.values.dtype == np.dtype(dtype):
            return self
        return _checked(
            self.row_offsets, self.column_indices, self.values, self.shape, np.dtype(dtype)
        )

    @property
    def nonzeros(self) -> int:
        return int(self.values.size)

    @property
    def density(self) -> float:
        """Nonzeros over M * K."""
        return self.nonzeros / (self.shape[0] * self.shape[1])

    @cached_property
    def row_lengths(self) -> Array:
        """Nonzeros of each row."""
        return np.diff(self.row_offsets)

    @cached_property
    def row_indices(self) -> Array:
        """Row of each nonzero."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), self.row_lengths)

    def to_dense(self) -> Array:
        """The matrix with its zeros, M x K."""
        dense = np.zeros(self.shape, self.values.dtype)
        dense[self.row_indices, self.column_indices] = self.values
        return dense


def _check_element_type(dtype: np.dtype[Any]) -> None:
    if dtype.name not in _VALUE_TYPES:
        raise ArgumentError(f"dtype: expected one of {', '.join(_VALUE_TYPES)}, got {dtype}")


def unmasked(matrix: Any) -> Any:
    """What `numpy.ma` masks counts as pruned: 0."""
    is_masked: bool = isinstance(matrix, np.ma.MaskedArray)
    return cast(Any, matrix).filled(0) if is_masked else matrix


def _as_array(matrix: Any) -> Array:
    try:
        return np.asarray(unmasked(matrix))
    except (ValueError, TypeError) as error:
        raise MatrixError(f"weight: expected a matrix (rank 2): {error}") from error


def _of_dense(array: Array, dtype: np.dtype[Any]) -> SparseMatrix:
    if array.ndim != 2:
        hint = "; for a filter use compile_conv2d, or --input-shape" if array.ndim == 4 else ""
        raise MatrixError(f"weight: expected a matrix (rank 2), got shape {array.shape}{hint}")
    _check_kind(array.dtype)
    _check_shape(array.shape)
    mask = array != 0
    offsets = np.zeros(array.shape[0] + 1, np.int64)
    np.cumsum(mask.sum(axis=1), out=offsets[1:])
    columns = np.nonzero(mask)[1]
    return _checked(offsets, columns, array[mask], (array.shape[0], array.shape[1]), dtype)


def _of_scipy(matrix: Any, dtype: np.dtype[Any]) -> SparseMatrix:
    from scipy import sparse

    if len(matrix.shape) != 2:
        raise MatrixError(f"weight: expected a matrix (rank 2), got shape {matrix.shape}")
    _check_kind(matrix.dtype)
    _check_shape(matrix.shape)
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)
            _check_offsets(matrix.indptr)
        csr = cast(Any, sparse.csr_array(matrix, copy=True))
        csr.check_format(full_check=True)
    except MatrixError:
        raise
    except (ValueError, IndexError, TypeError) as error:
        raise MatrixError(f"weight: expected a well-formed sparse matrix: {error}") from error
    csr.sum_duplicates()
    csr.sort_indices()
    rows, columns = csr.shape
    return _checked(csr.indptr, csr.indices, csr.data, (int(rows), int(columns)), dtype)


def _check_offsets(offsets: Array) -> None:
    """scipy's check believes the last offset, and looks no further where that is 0."""
    falls = np.flatnonzero(offsets[1:] < offsets[:-1])
    if falls.size:
        first = int(falls[0])
        raise MatrixError(
            "weight: expected offsets that do not fall,"
            f" got {offsets[first]}, then {offsets[first + 1]} at {first + 1}"
        )


def _check_kind(dtype: np.dtype[Any]) -> None:
    if not is_real(dtype):
        raise MatrixError(f"weight: expected real numbers, got element type {dtype}")


def _check_shape(shape: tuple[int, ...]) -> None:
    if min(shape) < 1 or max(shape) > _LIMIT:
        raise MatrixError(f"weight: expected 1 to {_LIMIT} rows and columns, got shape {shape}")


def _checked(
    offsets: Array, columns: Array, values: Array, shape: tuple[int, int], dtype: np.dtype[Any]
) -> SparseMatrix:
    """Round the values, drop what is 0 then, and refuse what is not finite."""
    _check_finite(offsets, columns, values, "in the weight")
    with np.errstate(over="ignore"):
        narrow = rounded(values, dtype)
    _check_finite(offsets, columns, narrow, f"once rounded to {dtype}")
    kept = narrow != 0
    if values.size > _LIMIT:
        raise MatrixError(f"weight: expected at most {_LIMIT} nonzeros, got {values.size}")
    before = np.concatenate([[0], np.cumsum(kept)])
    return SparseMatrix(
        _frozen(before[offsets].astype(np.int32)),
        _frozen(columns[kept].astype(np.int32)),
        _frozen(narrow[kept]),
        shape,
    )


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array


def _check_finite(offsets: Array, columns: Array, values: Array, where: str) -> None:
    with np.errstate(invalid="ignore"):  # ml_dtypes warns of some NaNs.
        bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        row = int(np.count_nonzero(offsets <= bad[0])) - 1
        raise MatrixError(
            f"weight: expected finite values, got {values[bad[0]]} at row {row},"
            f" column {columns[bad[0]]} {where} ({bad.size} such values)"
        )
