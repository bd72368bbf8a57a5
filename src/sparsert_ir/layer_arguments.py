"""The arguments that describe a layer, checked before anything is compiled."""

import re
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sparsert_ir.dense import Array
from sparsert_ir.element_types import dtype_of, is_real, numpy_type, rounded
from sparsert_ir.errors import ArgumentError
from sparsert_ir.frontend import Layer
from sparsert_ir.matrix import MatrixLike, SparseMatrix

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_PTX = ("_", "WARP_SZ")
"""Names that PTX does not allow (PTX ISA, "Identifiers" and "Predefined Identifiers")."""
_LARGEST_N = LARGEST_ARRAY = 2**31 - 1


def make_layer(
    weight: MatrixLike,
    n: Any,
    *,
    bias: npt.ArrayLike | None,
    activation: Any,
    residual: Any,
    dtype: Any,
    name: Any,
) -> Layer:
    """The layer that arguments of `compile_spmm` describe, without a schedule; its errors."""
    element = dtype_of(dtype)
    if not isinstance(activation, str | None) or activation not in (None, "relu"):
        raise ArgumentError(f'activation: expected None or "relu", got {activation!r}')
    places = {False: "none", True: "before", "before": "before", "after": "after"}
    if not isinstance(residual, str | bool) or residual not in places:
        got = repr(residual) if isinstance(residual, str | int | None) else type(residual).__name__
        raise ArgumentError(
            f'residual: expected False, True, "before" or "after", got {got}; the array itself is'
            " an argument of the call"
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _NOT_IN_PTX:
        raise ArgumentError(
            "name: expected letters, digits and underscores, not a digit first and no name that PTX"
            f" reserves, got {name!r}"
        )
    _check_n(n)
    matrix = SparseMatrix.of(weight, numpy_type(element))
    check_columns(matrix.shape, n)
    return Layer(
        matrix=matrix,
        columns=int(n),
        bias=None if bias is None else _bias(bias, matrix.shape[0], element),
        activation=activation,
        residual=cast(Any, places[residual]),
        dtype=element,
        name=name,
    )


def check_columns(shape: tuple[int, int], n: Any) -> None:
    """Raise ArgumentError for an n for which nothing is compiled with a matrix of this shape."""
    _check_n(n)
    if int(n) * max(shape) > LARGEST_ARRAY:
        raise ArgumentError(
            f"n: expected at most {LARGEST_ARRAY} elements in x and in y, got {max(shape)}"
            f" x {n}; compile for fewer columns and call several times"
        )


def _check_n(n: Any) -> None:
    if not is_integer(n) or not 1 <= n <= _LARGEST_N:
        raise ArgumentError(f"n: expected a whole number from 1 to {_LARGEST_N}, got {n!r}")


def is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _bias(bias: npt.ArrayLike, rows: int, dtype: str) -> Array:
    try:
        numbers = np.asarray(bias)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"bias: expected {rows} numbers, got {type(bias).__name__}") from error
    if numbers.shape != (rows,):
        raise ArgumentError(f"bias: expected shape ({rows},), got {numbers.shape}")
    if not is_real(numbers.dtype):
        raise ArgumentError(f"bias: expected real numbers, got element type {numbers.dtype}")
    kind = numpy_type(dtype)
    with np.errstate(over="ignore"):
        narrow = rounded(numbers, kind)
    if not np.isfinite(narrow).all():
        raise ArgumentError(f"bias: expected finite numbers in {kind}, got NaN or infinity")
    return narrow.astype(np.float32)
