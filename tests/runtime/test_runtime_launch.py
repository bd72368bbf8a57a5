"""Calling kernels: what reaches the driver, and what is refused before anything is launched."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_arrays import DlpackArray, InterfaceArray, TorchTensor
from fake_driver import FakeDriver, Launch

from sparsert_ir.errors import CallError, DeviceError
from sparsert_ir.runtime.arrays import CudaArrayInterfaceLibrary
from sparsert_ir.runtime.device_array import ResultArray
from sparsert_ir.runtime.launch import GpuKernel, KernelSignature, LaunchShape
from sparsert_ir.runtime.program import LoadedKernel, load_kernel

X_SHAPE, Y_SHAPE = (4, 8), (2, 8)
X_BYTES, Y_BYTES = 128, 64
X, RESIDUAL, Y = 0x10000, 0x20000, 0x30000


def on_first_gpu(library: CudaArrayInterfaceLibrary, pointer: int) -> int:
    return 0


@pytest.fixture
def driver(fake_driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    monkeypatch.setattr(CudaArrayInterfaceLibrary, "device_of", on_first_gpu)
    return fake_driver


def loaded() -> LoadedKernel:
    return load_kernel("ptx", "spmm", "sm_90")


def kernel_of(**signature: Any) -> GpuKernel:
    fields: dict[str, Any] = {"x_shape": X_SHAPE, "y_shape": Y_SHAPE, "dtype": "f32", **signature}
    shape = LaunchShape(grid=(3, 2, 1), block=(64, 2, 1))
    return GpuKernel(loaded(), KernelSignature(**fields), shape)


def x_array(**changes: Any) -> InterfaceArray:
    fields: dict[str, Any] = {"pointer": X, "shape": X_SHAPE, **changes}
    return InterfaceArray(**fields)


def y_array(**changes: Any) -> InterfaceArray:
    fields: dict[str, Any] = {"pointer": Y, "shape": Y_SHAPE, **changes}
    return InterfaceArray(**fields)


def test_a_call_launches_the_kernel_on_the_arrays_addresses(driver: FakeDriver) -> None:
    y = y_array()
    assert kernel_of()(x_array(), out=y, stream=0x77) is y
    assert driver.launches == [Launch("function", (3, 2, 1), (64, 2, 1), 0, 0x77, (X, Y))]


def test_the_residual_goes_between_x_and_y(driver: FakeDriver) -> None:
    driver.arguments = 3
    kernel_of(has_residual=True)(x_array(), y_array(pointer=RESIDUAL), y_array())
    assert driver.launches[0].pointers == (X, RESIDUAL, Y)


def test_arrays_of_two_protocols_work_together(driver: FakeDriver) -> None:
    kernel_of()(DlpackArray(X, X_SHAPE), out=y_array())
    assert driver.launches[0].pointers == (X, Y)


def test_the_stream_of_x_is_used_by_default(driver: FakeDriver) -> None:
    kernel_of()(x_array(stream=0x55), out=y_array())
    assert driver.launches[0].stream == 0x55


@pytest.mark.parametrize(("stream", "expected"), [(None, 0x55), (0x77, 0x77)])
def test_the_result_is_allocated_on_the_stream_of_the_launch(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch, stream: int | None, expected: int
) -> None:
    asked: list[tuple[Any, ...]] = []

    def allocate(*arguments: Any) -> InterfaceArray:
        asked.append(arguments)
        return y_array()

    monkeypatch.setattr(ResultArray, "allocate", allocate)
    # The array's own stream is the one it is used on: there is nothing to put in order.
    kernel_of()(x_array(stream=expected), stream=stream)
    assert asked == [(0, Y_SHAPE, "float32", expected)]
    assert driver.launches[0].stream == expected


def test_each_call_passes_its_own_arrays(driver: FakeDriver) -> None:
    kernel = kernel_of()
    for step in range(3):
        kernel(x_array(pointer=X + 256 * step), out=y_array(pointer=Y + 256 * step))
    passed = [launch.pointers for launch in driver.launches]
    assert passed == [(X, Y), (X + 256, Y + 256), (X + 512, Y + 512)]


def test_threads_do_not_share_arguments(driver: FakeDriver) -> None:
    kernel = kernel_of()
    together = threading.Barrier(4)
    passed: dict[int, list[tuple[int, ...]]] = {}

    def launch_kernel(function: object, *more: int) -> tuple[int]:
        together.wait(timeout=20)
        result = FakeDriver.cuLaunchKernel(mine[threading.get_ident()], function, *more)
        together.wait(timeout=20)
        return result

    mine: dict[int, FakeDriver] = {}

    def call(number: int) -> None:
        mine[threading.get_ident()] = own = FakeDriver(driver.patch)
        for _ in range(5):
            kernel(x_array(pointer=X + 256 * number), out=y_array(pointer=Y + 256 * number))
        passed[number] = [launch.pointers for launch in own.launches]

    kernel._launch_kernel = launch_kernel  # pyright: ignore[reportPrivateUsage]
    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert passed == {n: [(X + 256 * n, Y + 256 * n)] * 5 for n in range(4)}


REFUSED: list[tuple[str, Callable[[], dict[str, Any]], str]] = [
    ("x is no array", lambda: {"x": 3.0}, "x: expected an array on a GPU.*got builtins.float"),
    ("x is on the host", lambda: {"x": np.zeros(X_SHAPE, "f4")}, "x: .*GPU 0, got .*the host"),
    ("x on another GPU", lambda: {"x": DlpackArray(X, X_SHAPE, device=(2, 1))}, "got .*GPU 1"),
    ("x too wide", lambda: {"x": x_array(shape=(4, 9))}, r"x: .*\(4, 8\), got \(4, 9\)"),
    ("x of rank 1", lambda: {"x": x_array(shape=(32,))}, r"\(4, 8\), got \(32,\)"),
    ("x of f16", lambda: {"x": x_array(typestr="<f2")}, "x: .*element type f32, got f16"),
    ("x of f64", lambda: {"x": x_array(typestr="<f8")}, "element type f32, got <f8"),
    ("x transposed", lambda: {"x": x_array(strides=(4, 16))}, "x: expected row-major"),
    ("x not aligned", lambda: {"x": x_array(pointer=X + 4)}, "x: .*multiple of 16, got 0x10004"),
    ("y too short", lambda: {"out": y_array(shape=(1, 8))}, r"out: .*\(2, 8\), got \(1, 8\)"),
    ("y not aligned", lambda: {"out": y_array(pointer=Y + 8)}, "out: .*multiple of 16"),
    ("y read-only", lambda: {"out": y_array(readonly=True)}, "out: .*written, got a read-only"),
    ("y is x", lambda: {"out": y_array(pointer=X)}, "out: .*overlaps x"),
    ("y ends in x", lambda: {"out": y_array(pointer=X - Y_BYTES + 16)}, "overlaps x"),
    ("y starts in x", lambda: {"out": y_array(pointer=X + X_BYTES - 16)}, "overlaps x"),
    ("y is no array", lambda: {"out": [1.0]}, "out: expected an array on a GPU.*list"),
    ("a residual too much", lambda: {"residual": y_array()}, "residual: expected None"),
    ("no stream", lambda: {"stream": "main"}, "stream: expected a handle"),
]


@pytest.mark.parametrize(
    ("changes", "message"), [pytest.param(*rest, id=name) for name, *rest in REFUSED]
)
def test_wrong_calls_are_refused_before_the_launch(
    driver: FakeDriver, changes: Callable[[], dict[str, Any]], message: str
) -> None:
    kernel = kernel_of()
    with pytest.raises(CallError, match=f"^kernel @spmm: .*{message}"):
        kernel(**{"x": x_array(), "out": y_array(), **changes()})
    assert driver.launches == []


@pytest.mark.parametrize("role", ["x", "residual", "out"])
def test_interface_arrays_of_another_gpu_are_refused(fake_driver: FakeDriver, role: str) -> None:
    class Array(InterfaceArray):
        """A type of its own: what reads it has seen no other driver."""

    fake_driver.owners = {X: 0, RESIDUAL: 0, Y: 0}
    arrays = {
        "x": Array(X, X_SHAPE),
        "residual": Array(RESIDUAL, Y_SHAPE),
        "out": Array(Y, Y_SHAPE),
    }
    fake_driver.arguments = 3
    kernel = kernel_of(has_residual=True)
    kernel(**arrays)
    assert [launch.pointers for launch in fake_driver.launches] == [(X, RESIDUAL, Y)]
    fake_driver.owners[arrays[role].interface["data"][0]] = 1
    with pytest.raises(CallError, match=f"{role}: expected memory of GPU 0, got memory of GPU 1"):
        kernel(**arrays)
    assert len(fake_driver.launches) == 1


@pytest.mark.parametrize(
    ("residual", "message"),
    [
        (None, "residual: expected an array, .*got None"),
        (y_array(pointer=RESIDUAL, shape=X_SHAPE), r"residual: .*\(2, 8\), got \(4, 8\)"),
        (y_array(), "overlaps residual"),
        (y_array(pointer=Y + Y_BYTES - 16), "overlaps residual"),
    ],
)
def test_wrong_residuals_are_refused(driver: FakeDriver, residual: Any, message: str) -> None:
    with pytest.raises(CallError, match=message):
        kernel_of(has_residual=True)(x_array(), residual, y_array())
    assert driver.launches == []


def test_neighbours_do_not_overlap(driver: FakeDriver) -> None:
    kernel = kernel_of()
    kernel(x_array(), out=y_array(pointer=X + X_BYTES))
    kernel(x_array(), out=y_array(pointer=X - Y_BYTES))
    assert len(driver.launches) == 2


def test_a_kernel_of_half_precision_takes_half_precision(driver: FakeDriver) -> None:
    kernel_of(dtype="f16")(x_array(typestr="<f2"), out=y_array(typestr="<f2"))
    assert len(driver.launches) == 1


def test_the_alignment_is_the_kernels(driver: FakeDriver) -> None:
    kernel_of(alignment=4)(x_array(pointer=X + 4), out=y_array(pointer=Y + 4))
    assert len(driver.launches) == 1


@pytest.mark.parametrize("code", [201, 400])
def test_a_thread_without_the_context_launches_in_it(driver: FakeDriver, code: int) -> None:
    driver.fail("cuLaunchKernel", code)
    kernel_of()(x_array(), out=y_array())
    assert len(driver.launches) == 2
    assert driver.context_depth == 0


@pytest.mark.parametrize("codes", [(700,), (719,), (1,), (201, 201)])
def test_a_failed_launch_names_the_kernel(driver: FakeDriver, codes: tuple[int, ...]) -> None:
    driver.fail("cuLaunchKernel", *codes)
    with pytest.raises(DeviceError, match="kernel @spmm: launching it on GPU 0"):
        kernel_of()(x_array(), out=y_array())
    assert driver.context_depth == 0


def test_blocks_too_large_for_the_registers_are_refused(driver: FakeDriver) -> None:
    signature = KernelSignature(x_shape=X_SHAPE, y_shape=Y_SHAPE, dtype="f32")
    too_large = LaunchShape(grid=(1, 1, 1), block=(64, 16, 1))
    with pytest.raises(DeviceError, match=r"at most 512 threads .* got 1024"):
        GpuKernel(loaded(), signature, too_large)


@pytest.mark.parametrize(("shared_bytes", "asks"), [(0, 0), (47 * 1024, 0), (48 * 1024, 1)])
def test_much_shared_memory_is_asked_for(driver: FakeDriver, shared_bytes: int, asks: int) -> None:
    signature = KernelSignature(x_shape=X_SHAPE, y_shape=Y_SHAPE, dtype="f32")
    shape = LaunchShape(grid=(1, 1, 1), block=(64, 1, 1), shared_bytes=shared_bytes)
    kernel = GpuKernel(loaded(), signature, shape)
    kernel(x_array(), out=y_array())
    assert len(driver.attributes_set) == asks
    assert driver.launches[0].shared_bytes == shared_bytes


def test_a_tensor_type_nobody_registered_is_no_array(driver: FakeDriver) -> None:
    with pytest.raises(CallError, match="TorchTensor"):
        kernel_of()(TorchTensor(X, X_SHAPE), out=y_array())
