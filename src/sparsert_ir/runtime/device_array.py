"""Arrays on a GPU where no array library is at hand, or the caller's cannot allocate for us."""

import importlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsert_ir.errors import DeviceError, DeviceMemoryError
from sparsert_ir.runtime.device import current_gpu
from sparsert_ir.runtime.device_memory import Array, DeviceMemory
from sparsert_ir.runtime.driver import check, load_driver
from sparsert_ir.runtime.streams import order_after

_DLPACK_NO_ORDERING = -1
"""The stream by which a consumer says that it orders the work itself."""


class DeviceArray:
    """A row-major array on a GPU that any library takes by the CUDA array interface.

    Its memory is freed with it.
    """

    def __init__(
        self,
        memory: Any,
        pointer: int,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        ordinal: int,
        stream: int | None = None,
    ) -> None:
        """memory: what owns the memory at `pointer` of GPU `ordinal`; dtype: numpy's; stream: where
        the content is made, None where later work on any stream may read it.
        """
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._memory, self._pointer = memory, pointer
        self._ordinal, self._stream = ordinal, stream

    @staticmethod
    def copy_of(array: Array, ordinal: int = 0) -> "DeviceArray":
        """A copy on GPU `ordinal`, there for every stream; DeviceMemoryError where no room is."""
        memory = DeviceMemory.copy_of(array, ordinal)
        return DeviceArray(memory, memory.pointer, array.shape, array.dtype, ordinal)

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: npt.DTypeLike, ordinal: int = 0) -> "DeviceArray":
        """An array without content on GPU `ordinal`; DeviceMemoryError where there is no room."""
        memory = DeviceMemory(math.prod(shape) * np.dtype(dtype).itemsize, ordinal)
        return DeviceArray(memory, memory.pointer, shape, dtype, ordinal)

    def write(self, array: Array) -> None:
        """Replace the content of what `copy_of` or `empty` made by an array of the same shape and
        type; returns when it is there for every stream.
        """
        self._memory.write(array)

    def numpy(self) -> Array:
        """A copy, once all work of the GPU is done; DeviceError if that failed."""
        copy = np.empty(self.shape, self.dtype)
        driver = load_driver()
        with current_gpu(self._ordinal):
            check(driver.cuCtxSynchronize(), "waiting for the GPU")
            done = driver.cuMemcpyDtoH(copy.ctypes.data, self._pointer, copy.nbytes)
            check(done, f"copying {copy.nbytes} bytes from GPU {self._ordinal}")
        return copy

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._pointer, False),
            "strides": None,
            "version": 3,
            # The default stream has the number 1 in this protocol.
            "stream": 1 if self._stream == 0 else self._stream,
        }


class ResultArray(DeviceArray):
    """What a kernel returns: DLPack, too, and memory in the order of the stream of its launch."""

    def __init__(
        self, memory: Any, shape: tuple[int, ...], dtype: str, ordinal: int, stream: int
    ) -> None:
        """memory: a `cuda.core.Buffer`; the others as for DeviceArray."""
        super().__init__(memory, int(memory.handle), shape, dtype, ordinal, stream)
        self._order = stream
        views = importlib.import_module("cuda.core.utils").StridedMemoryView
        self._view = views.from_buffer(memory, shape, dtype=self.dtype)

    @classmethod
    def allocate(
        cls, ordinal: int, shape: tuple[int, ...], dtype: str, stream: int
    ) -> "ResultArray":
        """An array without content on GPU `ordinal`, to be used on `stream`.

        Raises DeviceMemoryError where there is no room, DeviceError for any other failure.
        """
        core = importlib.import_module("cuda.core")
        device = core.Device(ordinal)
        device.set_current()
        where = core.Stream.from_handle(stream) if stream else device.default_stream
        size = math.prod(shape) * np.dtype(dtype).itemsize
        try:
            memory = device.allocate(size, stream=where)
        except Exception as error:
            # cuda.core has no public class for errors of the driver.
            full = "OUT_OF_MEMORY" in str(error)
            kind = DeviceMemoryError if full else DeviceError
            raise kind(f"allocating {size} bytes for y on GPU {ordinal}: {error}") from error
        return cls(memory, shape, dtype, ordinal, stream)

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        if stream != _DLPACK_NO_ORDERING:
            order_after(self._order, stream or 0)
        return self._view.__dlpack__(stream=stream, **options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._view.__dlpack_device__()
