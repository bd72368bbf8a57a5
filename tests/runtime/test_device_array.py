"""Arrays on a GPU without an array library: what is copied, told, waited for and freed."""

import numpy as np
import pytest
from fake_driver import FakeDriver

from sparsert_ir.errors import DeviceError, DeviceMemoryError
from sparsert_ir.runtime.device import Gpu
from sparsert_ir.runtime.device_array import DeviceArray
from sparsert_ir.runtime.device_memory import DeviceMemory

NUMBERS = np.arange(6, dtype=np.float16).reshape(2, 3)


def test_a_copy_is_row_major_and_freed_with_the_array(fake_driver: FakeDriver) -> None:
    array = DeviceArray.copy_of(NUMBERS.T)
    assert list(fake_driver.memory.values()) == [NUMBERS.T.tobytes()]
    np.testing.assert_array_equal(array.numpy(), NUMBERS.T, strict=True)
    assert fake_driver.waits == 1
    del array
    assert not fake_driver.memory
    assert fake_driver.context_depth == 0


def test_the_content_is_replaced(fake_driver: FakeDriver) -> None:
    array = DeviceArray.empty((2, 3), np.float16)
    array.write(NUMBERS)
    np.testing.assert_array_equal(array.numpy(), NUMBERS, strict=True)
    with pytest.raises(DeviceError, match="expected 12 bytes for a GPU, got 4"):
        array.write(NUMBERS[:1, :2])
    np.testing.assert_array_equal(array.numpy(), NUMBERS, strict=True)


@pytest.mark.parametrize(("stream", "told"), [(None, None), (0, 1), (0x77, 0x77)])
def test_the_interface_tells_the_stream(stream: int | None, told: int | None) -> None:
    array = DeviceArray(None, 0x100, (2, 3), "float16", 0, stream)
    assert array.__cuda_array_interface__ == {
        "shape": (2, 3),
        "typestr": "<f2",
        "data": (0x100, False),
        "strides": None,
        "version": 3,
        "stream": told,
    }


def test_no_room_is_an_error_and_nothing_to_free(fake_driver: FakeDriver) -> None:
    fake_driver.fail("cuMemAlloc", 2)
    with pytest.raises(DeviceMemoryError, match="allocating 24 bytes for y on GPU 1"):
        DeviceMemory(24, 1, " for y")
    assert fake_driver.context_depth == 0


@pytest.mark.parametrize("function", ["cuMemcpyHtoDAsync", "cuStreamSynchronize"])
def test_a_failed_copy_frees_the_memory(function: str, fake_driver: FakeDriver) -> None:
    fake_driver.fail(function, 700)
    with pytest.raises(DeviceError, match="copying 12 bytes to GPU 0"):
        DeviceArray.copy_of(NUMBERS)
    assert not fake_driver.memory


@pytest.mark.parametrize("function", ["cuCtxSynchronize", "cuMemcpyDtoH"])
def test_a_failure_of_the_gpu_is_told_on_reading(function: str, fake_driver: FakeDriver) -> None:
    array = DeviceArray.copy_of(NUMBERS)
    fake_driver.fail(function, 700)
    with pytest.raises(DeviceError, match=r"waiting for the GPU|copying 12 bytes from GPU 0"):
        array.numpy()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_real_gpu_keeps_what_was_copied(dtype: type[np.floating], gpu: Gpu) -> None:
    array = NUMBERS.astype(dtype)
    np.testing.assert_array_equal(DeviceArray.copy_of(array, gpu.ordinal).numpy(), array)
