"""Element types of layers, of x, y, the residual and the weight's values: names and facts."""

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from sparsert_ir.errors import ArgumentError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sparsert_ir.dense import Array

Dtype: TypeAlias = Literal["f32", "f16", "bf16"]

DTYPES: tuple[Dtype, ...] = ("f32", "f16", "bf16")


class TorchDtype(Protocol):
    """What a type of torch is told by."""

    @property
    def is_floating_point(self) -> bool: ...


DtypeLike: TypeAlias = "Dtype | npt.DTypeLike | TorchDtype"
"""What `dtype_of` takes."""

ELEMENT_BYTES: dict[str, int] = {"f32": 4, "f16": 2, "bf16": 2}

ROUNDOFF: dict[str, float] = {"f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}
"""The largest relative error of rounding to an element type, where it does not underflow."""

SMALLEST: dict[str, float] = {"f32": 2.0**-149, "f16": 2.0**-24, "bf16": 2.0**-133}
"""The smallest number above 0 of an element type."""

BF16_FROM = 80
"""Compute capability (times ten) from which GPUs convert bf16."""

_NUMPY_NAMES = {"f32": "float32", "f16": "float16"}
_NAMES: dict[str, Dtype] = {
    "f32": "f32",
    "f16": "f16",
    "bf16": "bf16",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
}


def dtype_of(given: Any) -> Dtype:
    """The element type that `given` names: one of DTYPES, or a type of numpy, ml_dtypes or torch,
    or the name of one ("float16"). Raises ArgumentError for anything else.
    """
    name = given if isinstance(given, str) else _name_of_type(given)
    if name not in _NAMES:
        raise ArgumentError(f"dtype: expected one of {', '.join(DTYPES)}, got {given!r}")
    return _NAMES[name]


def _name_of_type(given: Any) -> str:
    """ "float16" for `np.dtype("float16")`, `np.float16` and `torch.float16`."""
    if isinstance(given, type):
        return given.__name__
    return str(getattr(given, "name", given)).removeprefix("torch.")


def numpy_type(dtype: str) -> "np.dtype[Any]":
    """numpy's element type, which for bf16 is that of the package ml_dtypes."""
    import numpy as np

    return bfloat16() if dtype == "bf16" else np.dtype(_NUMPY_NAMES[dtype])


def bfloat16() -> "np.dtype[Any]":
    """numpy's element type of bf16: the upper half of an f32."""
    import ml_dtypes
    import numpy as np

    return np.dtype(ml_dtypes.bfloat16)


def is_real(kind: "np.dtype[Any]") -> bool:
    """Whether numpy's element type holds real numbers or truth values."""
    return kind.kind in "fiub" or is_bfloat16(kind)


def is_bfloat16(kind: "np.dtype[Any]") -> bool:
    """Whether it is ml_dtypes' type, without importing that."""
    return kind.name == "bfloat16"


def rounded(values: "Array", kind: "np.dtype[Any]") -> "Array":
    """The nearest numbers of numpy's element type `kind`, ties to even; infinity where they are
    too large. Rounds once, where ml_dtypes goes from f64 to bf16 by way of f32.
    """
    import numpy as np

    if not is_bfloat16(kind) or values.dtype.kind != "f" or values.dtype.itemsize < 8:
        return values.astype(kind)
    # To odd in f32 first, and then to nearest, equals one rounding (see interpreter.multiply_add).
    narrow = values.astype(np.float32)
    beyond = np.abs(narrow.astype(np.float64)) > np.abs(values)
    towards_zero = np.where(beyond, np.nextafter(narrow, np.float32(0)), narrow)
    inexact = (towards_zero.astype(np.float64) != values) & np.isfinite(narrow)
    odd = towards_zero.view(np.int32) | inexact
    return odd.astype(np.int32).view(np.float32).astype(kind)


def default_accumulation(dtype: str) -> Literal["plain", "f32"]:
    """How products are added unless a schedule says otherwise: in f32."""
    return "plain" if dtype == "f32" else "f32"


def fastest_accumulation(dtype: str) -> Literal["plain", "f32"]:
    """How a GPU adds products fastest in code: f16 in pairs, which bf16 cannot be."""
    return "f32" if dtype == "bf16" else "plain"
