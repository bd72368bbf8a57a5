"""Filters of convolutions as sparse matrices."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sparsert_ir.dense import Array
from sparsert_ir.element_types import is_bfloat16, is_real
from sparsert_ir.errors import ArgumentError, MatrixError
from sparsert_ir.layer_arguments import is_integer
from sparsert_ir.matrix import SparseMatrix, unmasked
from sparsert_ir.torch_matrices import is_torch, matrix_of_torch


def filter_matrix(
    weight: npt.ArrayLike, groups: int, dtype: npt.DTypeLike
) -> tuple[SparseMatrix, tuple[int, int]]:
    """A filter of shape (O, I / groups, height, width) as the O x K matrix of a `Window` of I
    channels, and its (height, width). A group is a block of the matrix and leaves no other trace.

    Raises MatrixError for a wrong rank and for values that are not finite numbers, ArgumentError
    for groups that O cannot be divided into.
    """
    from scipy import sparse

    array = filter_array(weight)
    if array.ndim != 4 or min(array.shape) < 1 or not is_real(array.dtype):
        raise MatrixError(
            "weight: expected a filter of numbers, shape (O, I / groups, height, width), got shape"
            f" {array.shape} and element type {array.dtype}"
        )
    outputs, per_group, height, width = array.shape
    if not is_integer(groups) or groups < 1 or outputs % groups:
        raise ArgumentError(
            f"groups: expected a divisor of the {outputs} output channels, got {groups!r}"
        )
    place = np.nonzero(array)
    row, channel, ty, tx = place
    channels = per_group * int(groups)
    channel = channel + row // (outputs // groups) * per_group
    k = (ty * channels + channel) * width + tx
    entries: Any = (array[place], (row, k))
    matrix = sparse.coo_array(entries, shape=(outputs, channels * height * width))
    return SparseMatrix.of(matrix, dtype), (height, width)


def filter_array(weight: Any) -> Array:
    """The filter in memory of the host; what numpy or scipy lack (bfloat16, float16) as float32.

    Raises MatrixError for what is no array.
    """
    try:
        given = matrix_of_torch(weight) if is_torch(weight) else weight
        array = np.asarray(unmasked(given))
    except (TypeError, ValueError) as error:
        raise MatrixError(f"weight: expected a filter of numbers: {error}") from error
    narrow = array.dtype == np.float16 or is_bfloat16(array.dtype)
    return array.astype(np.float32) if narrow else array
