"""Calling a kernel of the CPU target on numpy arrays, with everything checked before the call."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from sparsert_ir.errors import CallError
from sparsert_ir.host_threads import buffers, team
from sparsert_ir.work_shares import Part

Array: TypeAlias = npt.NDArray[Any]

_CACHE_LINE = 64


def aligned_empty(shape: tuple[int, ...], dtype: str) -> Array:
    """An uninitialised array that begins on a cache line: vectors then do not straddle two."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)


@dataclass(frozen=True)
class TiledProgram:
    """Runs a product part by part, on as many threads as there are shares.

    part:       takes the addresses of the arrays, of the copy of a tile of x where there is one,
                and the four bounds of a part.
    copy_bytes: of that copy; 0: there is none.
    """

    part: Callable[..., None]
    shares: tuple[tuple[Part, ...], ...]
    copy_bytes: int

    def __call__(self, *arrays: int) -> None:
        if len(self.shares) == 1:
            self._run(arrays, self.shares[0])
        else:
            team().run([partial(self._run, arrays, share) for share in self.shares])

    def _run(self, arrays: tuple[int, ...], share: tuple[Part, ...]) -> None:
        if self.copy_bytes:
            arrays = (*arrays, buffers().address(self.copy_bytes))
        for part in share:
            first, last, first_panel, last_panel = part.bounds
            self.part(*arrays, first, last, first_panel, last_panel)


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
        # Half the time of array.ctypes.data, which counts for small layers.
        self.run(*(array.__array_interface__["data"][0] for array in (*inputs, y)))
        return y

    @cached_property
    def _element_type(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    def _input(self, role: str, array: object, shape: tuple[int, ...]) -> Array:
        if isinstance(array, np.ndarray):
            return self._checked(role, cast(Array, array), shape)
        if hasattr(array, "__cuda_array_interface__") and not hasattr(array, "__array__"):
            raise self._refusal(role, "memory of the host", "memory of a GPU")
        try:
            numbers = np.asarray(array)
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._refusal(role, "an array in memory of the host", str(error)) from error
        return self._checked(role, numbers, shape)

    def _checked(self, role: str, array: Array, shape: tuple[int, ...]) -> Array:
        if array.dtype != self._element_type:
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
            return aligned_empty(self.y_shape, self.dtype)
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
