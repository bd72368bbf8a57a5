"""Kernels on every GPU of a machine that has more than one; skipped elsewhere."""

import threading
from typing import Any

import numpy as np
import pytest
from compiling import compile_layer
from random_layers import Case, Example, whole_numbers

from sparsert_ir.dense import Array
from sparsert_ir.errors import ArgumentError, CallError, DeviceError
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.runtime.arrays import CudaArrayInterfaceLibrary
from sparsert_ir.runtime.device import Gpu, current_gpu, probe_gpus, require_gpu
from sparsert_ir.runtime.device_array import DeviceArray
from sparsert_ir.runtime.driver import check, load_driver
from sparsert_ir.runtime.launch import GpuKernel
from sparsert_ir.schedule import Lowering

LOWERINGS = pytest.mark.parametrize("lowering", ["code", "data"])
LAUNCHES = 100


@pytest.fixture
def gpus() -> tuple[Gpu, ...]:
    """All of them, two at least."""
    found = probe_gpus().gpus
    if len(found) < 2:
        pytest.skip(f"expected two GPUs, got {len(found)}")
    return found


def example(seed: int = 0, columns: int = 16) -> Example:
    """A layer of 96 x 80 with bias, ReLU and a residual before it."""
    return whole_numbers(Case(96, 80, columns, 0.2, "f32", True, "relu", "before", None, seed))


def binary_for(one: Example, lowering: Lowering, gpus: tuple[Gpu, ...]) -> KernelBinary:
    """For the oldest of the GPUs, so that all run it."""
    oldest = min((gpu.arch for gpu in gpus), key=lambda arch: int(arch.removeprefix("sm_")))
    return compile_layer(one.layer, oldest, lowering=lowering).binary


def on_gpu(one: Example, ordinal: int) -> tuple[list[DeviceArray], DeviceArray]:
    """The arguments, and a poisoned y."""
    arguments = [DeviceArray.copy_of(array, ordinal) for array in one.arguments]
    y = np.full(one.expected().shape, np.nan, np.float32)
    return arguments, DeviceArray.copy_of(y, ordinal)


def result(kernel: GpuKernel, one: Example, ordinal: int) -> Array:
    arguments, y = on_gpu(one, ordinal)
    kernel(*arguments, out=y)
    return y.numpy()


def current_context() -> int:
    return int(check(load_driver().cuCtxGetCurrent(), "asking for the context"))


@LOWERINGS
def test_every_gpu_gives_the_same_exact_result(gpus: tuple[Gpu, ...], lowering: Lowering) -> None:
    one = example()
    binary = binary_for(one, lowering, gpus)
    kernels = [binary.load_on_gpu(gpu.ordinal) for gpu in gpus]
    for kernel, gpu in zip(kernels, gpus, strict=True):
        assert kernel.kernel.gpu == gpu
        y = result(kernel, one, gpu.ordinal)
        np.testing.assert_array_equal(y, one.expected())


def test_the_result_is_allocated_on_the_gpu_of_x(gpus: tuple[Gpu, ...]) -> None:
    one = example()
    binary = binary_for(one, "code", gpus)
    for gpu in gpus:
        arguments, _ = on_gpu(one, gpu.ordinal)
        y = binary.load_on_gpu(gpu.ordinal)(*arguments)
        pointer = y.__cuda_array_interface__["data"][0]
        assert CudaArrayInterfaceLibrary().device_of(pointer) == gpu.ordinal


@pytest.mark.parametrize("role", ["x", "residual", "out"])
def test_arrays_of_another_gpu_are_refused(gpus: tuple[Gpu, ...], role: str) -> None:
    one = example()
    binary = binary_for(one, "code", gpus)
    for mine, other in ((0, 1), (1, 0)):
        kernel = binary.load_on_gpu(mine)
        (x, residual), y = on_gpu(one, mine)
        (its_x, its_residual), its_y = on_gpu(one, other)
        arrays: dict[str, Any] = {"x": x, "residual": residual, "out": y}
        arrays[role] = {"x": its_x, "residual": its_residual, "out": its_y}[role]
        message = f"{role}: expected memory of GPU {mine}, got memory of GPU {other}"
        with pytest.raises(CallError, match=message):
            kernel(**arrays)
        assert np.isnan(y.numpy()).all()
        assert np.isnan(its_y.numpy()).all()


def test_a_call_leaves_the_current_gpu_as_it_was(gpus: tuple[Gpu, ...]) -> None:
    one = example()
    binary = binary_for(one, "data", gpus)
    for current in (0, 1):
        with current_gpu(current):
            before = current_context()
            for ordinal in (0, 1):
                kernel = binary.load_on_gpu(ordinal)
                np.testing.assert_array_equal(result(kernel, one, ordinal), one.expected())
                assert current_context() == before


def test_a_stream_of_another_gpu_is_an_error_and_nothing_else(gpus: tuple[Gpu, ...]) -> None:
    one, driver = example(), load_driver()
    kernel = binary_for(one, "code", gpus).load_on_gpu(0)
    with current_gpu(1):
        stream = check(driver.cuStreamCreate(0), "making a stream")
    arguments, y = on_gpu(one, 0)
    with pytest.raises(DeviceError, match="launching it on GPU 0"):
        kernel(*arguments, out=y, stream=int(stream))
    with current_gpu(1):
        check(driver.cuStreamDestroy(stream), "destroying a stream")
    assert np.isnan(y.numpy()).all()
    np.testing.assert_array_equal(result(kernel, one, 0), one.expected())


def test_values_are_replaced_on_one_gpu_only(gpus: tuple[Gpu, ...]) -> None:
    one = example()
    other = one.with_weight(-one.layer.matrix.to_dense())
    old, new = (binary_for(each, "data", gpus) for each in (one, other))
    first, second = (old.load_on_gpu(ordinal) for ordinal in (0, 1))
    for number, (name, array) in enumerate(new.constants):
        if "value" in name:
            second.replace_constant(number, array)
    np.testing.assert_array_equal(result(first, one, 0), one.expected())
    np.testing.assert_array_equal(result(second, one, 1), other.expected())


@LOWERINGS
def test_threads_work_on_all_gpus_at_once(gpus: tuple[Gpu, ...], lowering: Lowering) -> None:
    """Two threads per GPU share its kernel, with arrays of their own; some start without a
    context.
    """
    layer = example().layer
    shared = [Example(layer, example(seed).arguments) for seed in range(2 * len(gpus))]
    binary = binary_for(shared[0], lowering, gpus)
    kernels = [binary.load_on_gpu(gpu.ordinal) for gpu in gpus]
    wrong: list[str] = []
    # A thread that fails before it must not keep the others.
    start = threading.Barrier(len(shared), timeout=60)

    def work(number: int) -> None:
        one, ordinal = shared[number], number % len(gpus)
        arguments, _ = on_gpu(one, ordinal)
        start.wait()
        for launch in range(LAUNCHES):
            y = DeviceArray.copy_of(np.full(one.expected().shape, np.nan, np.float32), ordinal)
            kernels[ordinal](*arguments, out=y)
            if not np.array_equal(y.numpy(), one.expected()):
                wrong.append(f"thread {number}, GPU {ordinal}, launch {launch}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(shared))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_tensors_of_torch_on_every_gpu(gpus: tuple[Gpu, ...]) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    one = example()
    binary = binary_for(one, "code", gpus)
    for gpu in gpus:
        kernel = binary.load_on_gpu(gpu.ordinal)
        device = f"cuda:{gpu.ordinal}"
        x, residual = (torch.from_numpy(array).to(device) for array in one.arguments)
        # The current GPU of torch is another one for all but the first.
        y = kernel(x, residual)
        assert y.device == x.device
        np.testing.assert_array_equal(y.cpu().numpy(), one.expected())
        elsewhere = torch.empty_like(y, device=f"cuda:{(gpu.ordinal + 1) % len(gpus)}")
        with pytest.raises(CallError, match="out: expected memory of GPU"):
            kernel(x, residual, out=elsewhere)


def test_a_gpu_that_is_not_there_is_refused(gpus: tuple[Gpu, ...]) -> None:
    with pytest.raises(ArgumentError, match=f"from 0 to {len(gpus) - 1}, got {len(gpus)}"):
        require_gpu(len(gpus))
