"""A hand-written kernel, y = 3 x + residual, called on a GPU in every way that is promised."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from compiling import compile_layer
from ptxas import assemble
from random_layers import Case, Example, whole_numbers

from sparsert_ir.errors import ArchitectureError, CallError, DeviceError, DeviceMemoryError
from sparsert_ir.runtime.device import Gpu, current_gpu
from sparsert_ir.runtime.device_array import DeviceArray, ResultArray
from sparsert_ir.runtime.device_memory import DeviceMemory
from sparsert_ir.runtime.driver import check, load_driver
from sparsert_ir.runtime.launch import GpuKernel, KernelSignature, LaunchShape
from sparsert_ir.runtime.program import load_cubin, load_kernel
from sparsert_ir.runtime.timing import time_launches
from sparsert_ir.schedule import Lowering

SHAPE = (8, 128)
LONG = 200_000_000
"""Clock cycles, a tenth of a second: long enough to see who waits."""


@pytest.fixture
def axpy(gpu: Gpu, axpy_ptx: str) -> GpuKernel:
    signature = KernelSignature(x_shape=SHAPE, y_shape=SHAPE, dtype="f32", has_residual=True)
    shape = LaunchShape(grid=(8, 1, 1), block=(128, 1, 1))
    return GpuKernel(load_kernel(axpy_ptx, "axpy", "sm_80"), signature, shape)


@pytest.fixture
def torch(gpu: Gpu) -> Any:
    module = pytest.importorskip("torch")
    if not module.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    return module


@pytest.fixture
def cupy(gpu: Gpu) -> Any:
    return pytest.importorskip("cupy")


def tensors(torch: Any) -> tuple[Any, Any, Any]:
    """x and the residual of small integers, y poisoned."""
    x = torch.arange(1024, device="cuda", dtype=torch.float32).reshape(SHAPE)
    residual = torch.full_like(x, 7.0)
    return x, residual, torch.full_like(x, float("nan"))


def test_torch_tensors(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    assert axpy(x, residual, y) is y
    assert torch.equal(y, 3 * x + residual)


def test_torch_allocates_the_result(axpy: GpuKernel, torch: Any) -> None:
    x, residual, _ = tensors(torch)
    y = axpy(x, residual)
    assert (y.dtype, y.device, tuple(y.shape)) == (x.dtype, x.device, SHAPE)
    assert torch.equal(y, 3 * x + residual)


def test_nothing_is_allocated_with_out(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    axpy(x, residual, y)
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before


def test_the_current_stream_of_torch_is_used(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(LONG)
        x.fill_(2.0)
        axpy(x, residual, y)
        expected = 3 * x + residual
    torch.cuda.synchronize()
    assert torch.equal(y, expected)


@pytest.mark.parametrize("form", ["object", "handle"])
@pytest.mark.parametrize("with_out", [True, False])
def test_the_given_stream_is_used(axpy: GpuKernel, torch: Any, form: str, with_out: bool) -> None:
    x, residual, y = tensors(torch)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(LONG)
        x.fill_(2.0)
    given = stream if form == "object" else stream.cuda_stream
    result = axpy(x, residual, y if with_out else None, stream=given)
    torch.cuda.synchronize()
    assert torch.equal(result, torch.full_like(x, 13.0))


def test_a_call_does_not_wait_for_the_gpu(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    axpy(x, residual, y)
    torch.cuda.synchronize()
    torch.cuda._sleep(LONG)
    done = torch.cuda.Event()
    axpy(x, residual, y)
    done.record()
    assert not done.query()
    torch.cuda.synchronize()


def test_a_cuda_graph_replays_the_kernel(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        axpy(x, residual, y)
        axpy(y.clone(), residual, x)
    x.fill_(1.0)
    graph.replay()
    assert torch.equal(y, torch.full_like(y, 10.0))
    assert torch.equal(x, torch.full_like(x, 37.0))


def test_a_new_thread_can_call(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    torch.cuda.synchronize()
    arguments = [_OnlyInterface(array) for array in (x, residual, y)]
    thread = threading.Thread(target=lambda: axpy(*arguments))
    thread.start()
    thread.join()
    torch.cuda.synchronize()
    assert torch.equal(y, 3 * x + residual)


WRONG: dict[str, Callable[[Any, Any, Any], tuple[Any, Any, Any]]] = {
    "x: expected memory of GPU 0, got memory of the host": lambda x, r, y: (x.cpu(), r, y),
    "x: expected element type f32, got torch.float64": lambda x, r, y: (x.double(), r, y),
    "x: expected element type f32, got f16": lambda x, r, y: (x.half(), r, y),
    r"x: expected shape \(8, 128\), got \(8, 64\)": lambda x, r, y: (x[:, :64], r, y),
    "x: expected row-major": lambda x, r, y: (x.reshape(128, 8).t(), r, y),
    "residual: expected an array": lambda x, r, y: (x, None, y),
    "out: expected memory of its own, got memory that overlaps x": lambda x, r, y: (x, r, x),
    "got memory that overlaps residual": lambda x, r, y: (x, r, r),
    "x: expected a tensor in dense storage": lambda x, r, y: (x.to_sparse(), r, y),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_tensors_are_refused(axpy: GpuKernel, torch: Any, message: str) -> None:
    x, residual, y = tensors(torch)
    with pytest.raises(CallError, match=f"kernel @axpy: .*{message}"):
        axpy(*WRONG[message](x, residual, y))
    assert bool(y.isnan().all())


def test_unaligned_tensors_are_refused(axpy: GpuKernel, torch: Any) -> None:
    _, residual, y = tensors(torch)
    shifted = torch.zeros(1025, device="cuda")[1:].reshape(SHAPE)
    with pytest.raises(CallError, match="multiple of 16"):
        axpy(shifted, residual, y)


def test_cupy_arrays(axpy: GpuKernel, cupy: Any) -> None:
    x = cupy.arange(1024, dtype=cupy.float32).reshape(SHAPE)
    residual, y = cupy.full_like(x, 7), cupy.full_like(x, cupy.nan)
    assert axpy(x, residual, y) is y
    assert bool((y == 3 * x + residual).all())
    assert bool((axpy(x, residual) == y).all())
    with pytest.raises(CallError, match="x: expected row-major"):
        axpy(x.reshape(128, 8).T, residual, y)


def test_the_current_stream_of_cupy_is_used(axpy: GpuKernel, cupy: Any) -> None:
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        x = cupy.full(SHAPE, 2, dtype=cupy.float32)
        residual = cupy.full_like(x, 7)
        y = cupy.empty_like(x)
        stream.begin_capture()
        axpy(x, residual, y)
        graph = stream.end_capture()
    graph.launch(stream)
    stream.synchronize()
    assert bool((y == 13).all())
    by_argument = axpy(x, residual, stream=stream)
    stream.synchronize()
    assert bool((by_argument == 13).all())


class _OnlyInterface:
    """A tensor as nothing but `__cuda_array_interface__`."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._tensor.__cuda_array_interface__, "stream": None, "version": 3}


class _OnlyDlpack:
    """A tensor as nothing but `__dlpack__`."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack__(self, **options: Any) -> Any:
        return self._tensor.__dlpack__(stream=options.get("stream"))

    def __dlpack_device__(self) -> Any:
        return self._tensor.__dlpack_device__()


@pytest.mark.parametrize("wrapper", [_OnlyInterface, _OnlyDlpack])
def test_any_library_that_speaks_a_protocol(
    axpy: GpuKernel, torch: Any, wrapper: type[Any]
) -> None:
    x, residual, y = tensors(torch)
    axpy(wrapper(x), wrapper(residual), wrapper(y))
    assert torch.equal(y, 3 * x + residual)
    made = axpy(wrapper(x), residual)
    assert torch.equal(torch.from_dlpack(made), y)
    assert torch.equal(torch.as_tensor(made, device="cuda"), y)


def test_the_overhead_of_a_call_is_below_ten_microseconds(
    axpy: GpuKernel, torch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("times the host, whose cores other workers use: run without -n")
    x, residual, y = tensors(torch)
    batch, times = 100, list[float]()
    for _ in range(50):
        begin = time.perf_counter()
        for _ in range(batch):
            axpy(x, residual, y)
        times.append((time.perf_counter() - begin) / batch * 1e6)
        # An empty queue, so that no call waits for a place in it.
        torch.cuda.synchronize()
    with capsys.disabled():
        print(f"\nlaunch overhead: median {median(times):.2f} us, least {min(times):.2f} us")
    assert median(times) < 10


def test_kernels_and_torch_functions_are_timed(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    ours = time_launches(lambda: axpy(x, residual, y))
    assert 0 < ours.min_us <= ours.p10_us <= ours.median_us <= ours.p90_us
    assert ours.launches == 20
    large = torch.randn(4096, 4096, device="cuda")
    theirs = time_launches(lambda: torch.matmul(large, large), repeats=2, replays=5)
    assert theirs.median_us > 5 * ours.median_us


def test_runs_take_turns(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    others = torch.full_like(x, float("nan"))
    result = time_launches(
        [lambda: axpy(x, residual, y), lambda: axpy(x, residual, others)], repeats=5, replays=3
    )
    assert result.launches == 6
    assert torch.equal(others, y)


def test_runs_are_timed_on_a_given_stream(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    stream = torch.cuda.Stream()
    result = time_launches(lambda: axpy(x, residual, y, stream=stream), stream=stream)
    assert result.median_us > 0
    assert torch.equal(y, 3 * x + residual)


def test_runs_that_launch_elsewhere_have_no_time(axpy: GpuKernel, torch: Any) -> None:
    x, residual, y = tensors(torch)
    elsewhere = torch.cuda.Stream()
    with pytest.raises(DeviceError, match="expected 20 launches or more on the stream"):
        time_launches(lambda: axpy(x, residual, y, stream=elsewhere))


STICKY = """
import sys
import torch
from sparsert_ir.errors import DeviceError
from sparsert_ir.runtime.launch import GpuKernel, KernelSignature, LaunchShape
from sparsert_ir.runtime.program import load_kernel

ptx = sys.stdin.read()
signature = KernelSignature(x_shape=(8, 128), y_shape=(8, 128), dtype="f32", has_residual=True)
shape = LaunchShape(grid=(8, 1, 1), block=(128, 1, 1))
def kernel(text):
    return GpuKernel(load_kernel(text, "axpy", "sm_80"), signature, shape)
good, bad = kernel(ptx), kernel(ptx.replace("[%y], %a", "[%offset], %a"))
x, r, y = (torch.zeros(8, 128, device="cuda") for _ in range(3))
bad(x, r, y)
try:
    torch.cuda.synchronize()
except RuntimeError:
    pass
try:
    good(x, r, y)
except DeviceError as error:
    print(error)
"""


def test_an_earlier_failure_on_the_gpu_is_reported(torch: Any, axpy_ptx: str) -> None:
    command = [sys.executable, "-c", STICKY]
    done = subprocess.run(
        command, input=axpy_ptx, capture_output=True, text=True, timeout=120, check=False
    )
    assert "kernel @axpy: launching it on GPU 0: CUDA_ERROR_ILLEGAL_ADDRESS" in done.stdout
    assert "earlier in this process" in done.stdout


def test_a_result_without_room_is_an_error_and_nothing_else(
    gpu: Gpu, axpy: GpuKernel, torch: Any
) -> None:
    with pytest.raises(DeviceMemoryError, match="allocating"):
        ResultArray.allocate(gpu.ordinal, (gpu.memory,), "float32", stream=0)
    x, residual, y = tensors(torch)
    axpy(x, residual, y)
    assert torch.equal(y, 3 * x + residual)


def test_a_constant_without_room_is_an_error_and_nothing_else(
    gpu: Gpu, axpy: GpuKernel, torch: Any
) -> None:
    endless = np.broadcast_to(np.float32(0), (gpu.memory,))
    with pytest.raises(DeviceMemoryError, match="for a packed matrix"):
        DeviceMemory.copy_of(endless, gpu.ordinal, " for a packed matrix")
    x, residual, y = tensors(torch)
    axpy(x, residual, y)
    assert torch.equal(y, 3 * x + residual)


def test_a_binary_of_another_gpu_is_refused(gpu: Gpu, axpy_ptx: str, tmp_path: Path) -> None:
    if gpu.arch.startswith("sm_8"):
        pytest.skip(f"{gpu.arch} runs what is assembled for sm_80")
    assemble(axpy_ptx, "sm_80", tmp_path)
    binary = (tmp_path / "kernel.cubin").read_bytes()
    with pytest.raises(ArchitectureError, match="loading it on GPU 0"):
        load_cubin(binary, "axpy", gpu)


@pytest.mark.parametrize("lowering", ["code", "data"])
def test_threads_on_streams_of_their_own_share_a_kernel(gpu: Gpu, lowering: Lowering) -> None:
    """Launches of the default schedule, which overlap where the GPU can do that."""
    case = Case(96, 80, 16, 0.2, "f32", True, "relu", "before", None, seed=0)
    layer = whole_numbers(case).layer
    kernel = compile_layer(layer, None, lowering=lowering).load()
    driver, wrong = load_driver(), list[str]()
    start = threading.Barrier(8)

    def work(number: int) -> None:
        arguments = whole_numbers(replace(case, seed=number)).arguments
        expected = Example(layer, arguments).expected()
        x, residual = (DeviceArray.copy_of(array) for array in arguments)
        with current_gpu(gpu.ordinal):
            non_blocking = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
            stream = check(driver.cuStreamCreate(non_blocking), "making a stream")
        start.wait()
        for launch in range(50):
            y = DeviceArray.copy_of(np.full(expected.shape, np.nan, np.float32))
            kernel(x, residual, out=y, stream=int(stream))
            if not np.array_equal(y.numpy(), expected):
                wrong.append(f"thread {number}, launch {launch}")
        with current_gpu(gpu.ordinal):
            check(driver.cuStreamDestroy(stream), "destroying a stream")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
