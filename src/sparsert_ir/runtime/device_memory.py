"""Memory of a GPU from the driver itself, without any array library."""

import contextlib
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sparsert_ir.errors import DeviceError
from sparsert_ir.runtime.device import current_gpu
from sparsert_ir.runtime.driver import check, load_driver

Array: TypeAlias = npt.NDArray[Any]


class DeviceMemory:
    """Exactly `size` bytes of GPU `ordinal`, without content; freed with this object.

    A library's allocator hands out pieces of larger blocks: an access past the end stays inside the
    block, and compute-sanitizer does not see it.
    """

    def __init__(self, size: int, ordinal: int, purpose: str = "") -> None:
        """Raises DeviceMemoryError where there is no room, with `purpose`, such as " for y"."""
        self._size, self._ordinal = size, ordinal
        self.pointer = 0
        with current_gpu(ordinal):
            doing = f"allocating {size} bytes{purpose} on GPU {ordinal}"
            self.pointer = int(check(load_driver().cuMemAlloc(max(1, size)), doing))

    @classmethod
    def copy_of(cls, array: Array, ordinal: int, purpose: str = "") -> "DeviceMemory":
        """Memory with the content of `array`, as `write` leaves it."""
        memory = cls(array.nbytes, ordinal, purpose)
        memory.write(array)
        return memory

    def write(self, array: Array) -> None:
        """Copy `array`, of the same size, there; returns when it is there for every stream."""
        if array.nbytes != self._size:
            raise DeviceError(f"expected {self._size} bytes for a GPU, got {array.nbytes}")
        driver, contiguous = load_driver(), np.ascontiguousarray(array)
        doing = f"copying {self._size} bytes to GPU {self._ordinal}"
        with current_gpu(self._ordinal):
            # cuMemcpyHtoD may return before the last bytes are there.
            address = contiguous.ctypes.data
            check(driver.cuMemcpyHtoDAsync(self.pointer, address, self._size, 0), doing)
            check(driver.cuStreamSynchronize(0), doing)

    def __del__(self) -> None:
        if self.pointer:
            # At the end of the process, or after an error on the GPU, there is nothing to free.
            with contextlib.suppress(Exception), current_gpu(self._ordinal):
                load_driver().cuMemFree(self.pointer)
