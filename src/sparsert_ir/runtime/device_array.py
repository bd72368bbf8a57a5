"""Memory on a GPU for results whose caller's library cannot allocate them for us."""

import importlib
import math
from typing import Any

import numpy as np

from sparsert_ir.errors import DeviceError, DeviceMemoryError
from sparsert_ir.runtime.streams import order_after

_DLPACK_NO_ORDERING = -1
"""The stream by which a consumer says that it orders the work itself."""


class DeviceArray:
    """A contiguous array that any library takes, by DLPack or the CUDA array interface.

    Its memory is freed with it, in the order of the stream on which it was made.
    """

    def __init__(self, memory: Any, shape: tuple[int, ...], dtype: str, stream: int) -> None:
        """memory: a `cuda.core.Buffer`; dtype: numpy's; stream: where the content is made."""
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._memory = memory
        self._stream = stream
        views = importlib.import_module("cuda.core.utils").StridedMemoryView
        self._view = views.from_buffer(memory, shape, dtype=self.dtype)

    @classmethod
    def allocate(
        cls, ordinal: int, shape: tuple[int, ...], dtype: str, stream: int
    ) -> "DeviceArray":
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
        return cls(memory, shape, dtype, stream)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (int(self._memory.handle), False),
            "strides": None,
            "version": 3,
            # The default stream has the number 1 in this protocol.
            "stream": self._stream or 1,
        }

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        if stream != _DLPACK_NO_ORDERING:
            order_after(self._stream, stream or 0)
        return self._view.__dlpack__(stream=stream, **options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._view.__dlpack_device__()
