"""Calling a kernel of the CPU target on numpy arrays, with everything checked before the call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from sparsert_ir.errors import CallError

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class HostKernel:
    """`y = kernel(x[, residual])` in this process.

    run: takes the addresses of x, the residual where there is one, and y.
    """

    name: str
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    dtype: str
    has_residual: bool
    run: Callable[..., None]

    def __call__(self, x: object, residual: object = None, out: object = None) -> Array:
        """Arrays are numpy's, or anything that numpy reads without a copy (torch on the CPU).

        Raises CallError for an argument that the kernel cannot run on.
        """
        inputs = [self._input("x", x, self.x_shape)]
        if self.has_residual != (residual is not None):
            expected = "an array, which the kernel adds" if self.has_residual else "None"
            raise self._refusal("residual", expected, "None" if residual is None else "an array")
        if residual is not None:
            inputs.append(self._input("residual", residual, self.y_shape))
        y = self._output(out, inputs)
        self.run(*(array.ctypes.data for array in (*inputs, y)))
        return y

    def _input(self, role: str, array: object, shape: tuple[int, ...]) -> Array:
        if hasattr(array, "__cuda_array_interface__") and not hasattr(array, "__array__"):
            raise self._refusal(role, "memory of the host", "memory of a GPU")
        try:
            numbers = np.asarray(array)
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._refusal(role, "an array in memory of the host", str(error)) from error
        return self._checked(role, numbers, shape)

    def _checked(self, role: str, array: Array, shape: tuple[int, ...]) -> Array:
        if array.dtype != np.dtype(self.dtype):
            raise self._refusal(role, f"element type {self.dtype}", str(array.dtype))
        if array.shape != shape:
            raise self._refusal(role, f"shape {shape}", str(array.shape))
        if not array.flags.c_contiguous:
            raise self._refusal(role, "row-major elements without gaps", "other strides; copy it")
        if not array.flags.aligned:
            raise self._refusal(role, "aligned elements", "an unaligned address; copy it")
        return array

    def _output(self, out: object, inputs: list[Array]) -> Array:
        if out is None:
            return np.empty(self.y_shape, self.dtype)
        if not isinstance(out, np.ndarray):
            raise self._refusal("out", "a numpy array", type(out).__name__)
        y = self._checked("out", cast(Array, out), self.y_shape)
        if not y.flags.writeable:
            raise self._refusal("out", "an array that may be written", "a read-only one")
        if any(np.may_share_memory(y, array) for array in inputs):
            raise self._refusal("out", "memory of its own", "memory that overlaps an input")
        return y

    def _refusal(self, role: str, expected: str, got: Any) -> CallError:
        return CallError(f"kernel @{self.name}: {role}: expected {expected}, got {got}")
