"""Memory of a GPU of exactly the size of an array, from the driver itself.

A library's allocator hands out pieces of larger blocks, so an access past the end of an array stays
inside the block and compute-sanitizer does not see it.
"""

import contextlib
import math
from typing import Any

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.runtime.device import current_gpu
from sparsert_ir.runtime.driver import check, load_driver


class ExactArray:
    """A row-major array on a GPU without content; freed with this object."""

    def __init__(self, shape: tuple[int, ...], dtype: str, ordinal: int = 0) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._bytes = math.prod(shape) * self.dtype.itemsize
        self._ordinal = ordinal
        self._address = 0
        with current_gpu(ordinal):
            memory = load_driver().cuMemAlloc(self._bytes)
            self._address = int(check(memory, f"allocating {self._bytes} bytes"))

    @classmethod
    def copy_of(cls, array: Array, ordinal: int = 0) -> "ExactArray":
        made = cls(array.shape, array.dtype.name, ordinal)
        contiguous = np.ascontiguousarray(array)
        with current_gpu(ordinal):
            source = contiguous.ctypes.data
            copied = load_driver().cuMemcpyHtoD(made._address, source, made._bytes)
            check(copied, "copying to the GPU")
        return made

    def numpy(self) -> Array:
        """A copy, once all work of the GPU is done; DeviceError if that failed."""
        copy = np.empty(self.shape, self.dtype)
        driver = load_driver()
        with current_gpu(self._ordinal):
            check(driver.cuCtxSynchronize(), "waiting for the GPU")
            copied = driver.cuMemcpyDtoH(copy.ctypes.data, self._address, self._bytes)
            check(copied, "copying from the GPU")
        return copy

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._address, False),
            "strides": None,
            "version": 3,
            "stream": None,
        }

    def __del__(self) -> None:
        if self._address:
            # At the end of the process, or after an error on the GPU, there is nothing to free.
            with contextlib.suppress(Exception), current_gpu(self._ordinal):
                load_driver().cuMemFree(self._address)
