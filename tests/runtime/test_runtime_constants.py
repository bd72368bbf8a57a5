"""Constants of a kernel in the memory of a GPU, and launches that overlap the one before."""

from typing import Any

import numpy as np
import pytest
from fake_arrays import InterfaceArray
from fake_driver import FakeDriver

import sparsert_ir
from sparsert_ir import Schedule
from sparsert_ir.errors import ArgumentError, DeviceError, DeviceMemoryError
from sparsert_ir.runtime.arrays import CudaArrayInterfaceLibrary
from sparsert_ir.runtime.launch import GpuKernel, KernelSignature, LaunchShape
from sparsert_ir.runtime.program import load_kernel

SIGNATURE = KernelSignature(x_shape=(4, 8), y_shape=(2, 8), dtype="f32")
X, Y = 0x10, 0x200
NUMBERS = np.arange(6, dtype=np.float16)
ROWS = np.arange(3, dtype=np.int32)
OVERLAP = ("CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION",)


def on_first_gpu(library: CudaArrayInterfaceLibrary, pointer: int) -> int:
    return 0


def kernel_with(*constants: Any, **shape: Any) -> GpuKernel:
    launch = LaunchShape(grid=(3, 2, 1), block=(64, 1, 1), **shape)
    return GpuKernel(load_kernel("ptx", "spmm", "sm_90"), SIGNATURE, launch, constants)


def call(kernel: GpuKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CudaArrayInterfaceLibrary, "device_of", on_first_gpu)
    x = InterfaceArray(pointer=X, shape=(4, 8))
    kernel(x, out=InterfaceArray(pointer=Y, shape=(2, 8)), stream=0x77)


def test_constants_are_copied_once_and_passed_after_y(
    fake_driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_driver.arguments = 4
    kernel = kernel_with(NUMBERS, ROWS)
    call(kernel, monkeypatch)
    call(kernel, monkeypatch)
    first, second = fake_driver.memory
    assert fake_driver.memory == {first: NUMBERS.tobytes(), second: ROWS.tobytes()}
    assert [launch.pointers for launch in fake_driver.launches] == [(X, Y, first, second)] * 2


def test_constants_are_freed_with_the_kernel(fake_driver: FakeDriver) -> None:
    kernel = kernel_with(NUMBERS, ROWS)
    assert len(fake_driver.memory) == 2
    del kernel
    assert not fake_driver.memory


def test_too_little_memory_for_a_constant(fake_driver: FakeDriver) -> None:
    fake_driver.fail("cuMemAlloc", 2)
    with pytest.raises(DeviceMemoryError, match="allocating 12 bytes for a packed matrix"):
        kernel_with(NUMBERS)
    assert fake_driver.context_depth == 0


def test_a_constant_is_replaced_after_the_work_of_the_gpu(fake_driver: FakeDriver) -> None:
    kernel = kernel_with(NUMBERS, ROWS)
    kernel.replace_constant(0, NUMBERS[::-1])
    assert fake_driver.waits == 1
    assert list(fake_driver.memory.values()) == [NUMBERS[::-1].tobytes(), ROWS.tobytes()]
    with pytest.raises(DeviceError, match="expected 12 bytes for a GPU, got 8"):
        kernel.replace_constant(0, NUMBERS[:4])


def test_an_overlapping_launch_says_so_to_the_driver(
    fake_driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(kernel_with(overlapped=True, shared_bytes=4096), monkeypatch)
    (launch,) = fake_driver.launches
    assert (launch.grid, launch.block) == ((3, 2, 1), (64, 1, 1))
    assert (launch.shared_bytes, launch.stream, launch.pointers) == (4096, 0x77, (X, Y))
    assert launch.attributes == OVERLAP


def test_a_serial_launch_has_no_attributes(
    fake_driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(kernel_with(), monkeypatch)
    assert fake_driver.launches[0].attributes == ()


WEIGHT = np.array([[1, 0, 2], [0, 3, 0]], np.float16)


def data_kernel(weight: Any, **options: Any) -> sparsert_ir.Kernel:
    return sparsert_ir.compile(
        weight, 4, dtype="f16", target="sm_90", lowering="data", bias=[1, 2], **options
    )


@pytest.mark.usefixtures("fake_driver")
def test_updated_values_are_those_of_a_kernel_compiled_anew() -> None:
    kernel = data_kernel(WEIGHT)
    kernel.update_values(-4 * WEIGHT)
    fresh = data_kernel(-4 * WEIGHT)
    assert kernel.ptx == fresh.ptx
    assert kernel.ir("input") == fresh.ir("input")
    for (name, array), (other, expected) in zip(
        kernel.binary.constants, fresh.binary.constants, strict=True
    ):
        assert name == other
        np.testing.assert_array_equal(array, expected, strict=True)


def test_updates_reach_a_loaded_kernel(fake_driver: FakeDriver) -> None:
    kernel = data_kernel(WEIGHT).load()
    before = list(fake_driver.memory.values())
    for factor in (2, -3):
        kernel.update_values(factor * WEIGHT)
        after = list(fake_driver.memory.values())
        assert after[1:] == before[1:]
        fresh = dict(data_kernel(factor * WEIGHT).binary.constants)
        assert after[0] == fresh["spmm_values"].tobytes()
    assert fake_driver.waits == 2


def test_a_failed_update_leaves_the_old_values(fake_driver: FakeDriver) -> None:
    kernel = data_kernel(WEIGHT).load()
    before = dict(kernel.binary.constants)
    fake_driver.fail("cuCtxSynchronize", 700)
    with pytest.raises(DeviceError, match="waiting for the GPU"):
        kernel.update_values(2 * WEIGHT)
    assert all(array is before[name] for name, array in kernel.binary.constants)
    np.testing.assert_array_equal(kernel.compilation.layer.matrix.to_dense(), WEIGHT)


OTHER_PATTERNS = {
    "one nonzero more": np.array([[1, 1, 2], [0, 3, 0]]),
    "one nonzero less": np.array([[1, 0, 2], [0, 0, 0]]),
    "another place": np.array([[1, 0, 2], [3, 0, 0]]),
    "another row": np.array([[1, 0, 0], [0, 3, 2]]),
    "a value that rounds to 0": np.array([[1, 0, 2], [0, 1e-9, 0]]),
}


@pytest.mark.parametrize("name", OTHER_PATTERNS)
def test_another_pattern_is_refused(name: str) -> None:
    kernel = data_kernel(WEIGHT)
    with pytest.raises(ArgumentError, match="weight: expected the pattern of the compiled one, 3"):
        kernel.update_values(OTHER_PATTERNS[name])


def test_another_shape_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"weight: expected shape \(2, 3\), got \(3, 2\)"):
        data_kernel(WEIGHT).update_values(WEIGHT.T)


@pytest.mark.parametrize(
    ("target", "schedule", "got"),
    [
        ("sm_90", Schedule(), "lowering = code for sm_90"),
        ("cpu", None, "lowering = data for cpu"),
    ],
)
def test_values_that_are_in_the_code_cannot_be_updated(
    target: str, schedule: Schedule | None, got: str
) -> None:
    kernel = sparsert_ir.compile(WEIGHT, 4, target=target, schedule=schedule)
    with pytest.raises(ArgumentError, match=f"expected a matrix that is data on a GPU, got {got}"):
        kernel.update_values(WEIGHT)
