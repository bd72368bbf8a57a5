"""Arrays on a GPU without any array library: for timing and for files of kernels."""

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsert_ir.runtime.device import Gpu, current_gpu
from sparsert_ir.runtime.driver import check, load_driver


class DeviceCopy:
    """A contiguous copy of a numpy array, freed with this object; has the CUDA array interface."""

    def __init__(self, array: npt.NDArray[Any], gpu: Gpu) -> None:
        """Raises DeviceMemoryError."""
        self._gpu = gpu
        self._pointer = 0
        self.shape, self.dtype = array.shape, array.dtype
        self._bytes = array.nbytes
        with current_gpu(gpu.ordinal):
            doing = f"allocating {array.nbytes} bytes on GPU {gpu.ordinal}"
            self._pointer = int(check(load_driver().cuMemAlloc(max(1, array.nbytes)), doing))
        self.write(array)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._pointer, False),
            "strides": None,
            "version": 3,
            # Copies wait: there is nothing to be ordered after.
            "stream": None,
        }

    def write(self, array: npt.NDArray[Any]) -> None:
        """Copy `array`, of the same shape and type, to the GPU; returns when it is there."""
        source = np.ascontiguousarray(array, self.dtype)
        with current_gpu(self._gpu.ordinal):
            done = load_driver().cuMemcpyHtoD(self._pointer, source.ctypes.data, self._bytes)
            check(done, "copying to the GPU")

    def read(self) -> npt.NDArray[Any]:
        """The content, once all work that was launched before is done."""
        result = np.empty(self.shape, self.dtype)
        with current_gpu(self._gpu.ordinal):
            driver = load_driver()
            check(driver.cuCtxSynchronize(), "waiting for the GPU")
            done = driver.cuMemcpyDtoH(result.ctypes.data, self._pointer, self._bytes)
            check(done, "copying from the GPU")
        return result

    def __del__(self) -> None:
        if self._pointer:
            # At the end of the process the driver may be gone already.
            with contextlib.suppress(Exception), current_gpu(self._gpu.ordinal):
                load_driver().cuMemFree(self._pointer)


class OwnStream:
    """A stream of the driver, destroyed with this object."""

    def __init__(self, gpu: Gpu) -> None:
        driver = load_driver()
        self._gpu = gpu
        with current_gpu(gpu.ordinal):
            kind = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
            self._stream = check(driver.cuStreamCreate(kind), "creating a stream")

    @property
    def handle(self) -> int:
        return int(self._stream)

    def wait(self) -> None:
        """Return when all its work is done; raises DeviceError for work that failed."""
        with current_gpu(self._gpu.ordinal):
            check(load_driver().cuStreamSynchronize(self._stream), "waiting for a stream")

    def __del__(self) -> None:
        with contextlib.suppress(Exception), current_gpu(self._gpu.ordinal):
            load_driver().cuStreamDestroy(self._stream)
