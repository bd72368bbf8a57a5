"""Numpy arrays to a GPU and back, where neither torch nor cupy is at hand."""

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.runtime.device import current_gpu, require_gpu
from sparsert_ir.runtime.device_array import DeviceArray
from sparsert_ir.runtime.driver import check, load_driver


def to_gpu(array: Array, ordinal: int | None = None) -> DeviceArray:
    """A copy of `array`, row-major, on GPU `ordinal` or the first one; returns when it is made.

    Raises NoDeviceError, DeviceMemoryError or another DeviceError.
    """
    gpu = require_gpu(ordinal)
    contiguous = np.ascontiguousarray(array)
    driver = load_driver()
    copy = DeviceArray.allocate(gpu.ordinal, contiguous.shape, contiguous.dtype.name, stream=0)
    with current_gpu(gpu.ordinal):
        # Allocating is ordered by the stream, copying is not.
        check(driver.cuStreamSynchronize(0), "waiting for memory")
        source = contiguous.ctypes.data
        check(driver.cuMemcpyHtoD(_address(copy), source, contiguous.nbytes), "copying to the GPU")
    return copy


def from_gpu(array: DeviceArray, ordinal: int | None = None) -> Array:
    """A copy in numpy of an array of GPU `ordinal` or the first one; waits for work on the GPU."""
    gpu = require_gpu(ordinal)
    driver = load_driver()
    copy = np.empty(array.shape, array.dtype)
    with current_gpu(gpu.ordinal):
        check(driver.cuCtxSynchronize(), "waiting for the GPU")
        doing = "copying from the GPU"
        check(driver.cuMemcpyDtoH(copy.ctypes.data, _address(array), copy.nbytes), doing)
    return copy


def _address(array: DeviceArray) -> int:
    return array.__cuda_array_interface__["data"][0]
