"""What worker processes do for the convolution benchmark: build, check and time one kernel."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Literal

import numpy as np

from convolution_cases import ConvolutionCase
from measure_job import end_if_lost, graph_repeats
from sparsert_ir import Schedule, compile_conv2d
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.runtime.timing import time_launches

PEERS = ("cudnn f32", "cudnn tf32", "cudnn f16", "cudnn f16 nhwc")
_UNIT_ROUNDOFF = {"f32": 2.0**-24, "tf32": 2.0**-11, "f16": 2.0**-11}


@dataclass(frozen=True, eq=False)
class ConvolutionBuild:
    """schedule: None for the compiler's own choice."""

    case: ConvolutionCase
    dtype: Literal["f32", "f16"]
    target: str
    schedule: Schedule | None
    code_budget: int


@dataclass(frozen=True, eq=False)
class BuiltConvolution:
    binary: KernelBinary
    schedule: Schedule


def build_convolution(job: ConvolutionBuild) -> BuiltConvolution:
    """Compile and assemble for the first GPU."""
    kernel = compile_conv2d(
        job.case.weight,
        job.case.input_shape,
        stride=job.case.stride,
        padding=job.case.padding,
        dtype=job.dtype,
        target=job.target,
        schedule=job.schedule,
        code_budget=job.code_budget,
    )
    return BuiltConvolution(kernel.binary.assembled(0), kernel.schedule)


@dataclass(frozen=True, eq=False)
class ConvolutionMeasurement:
    """The job of timing `run`: a kernel of ours, or the name of a peer."""

    case: ConvolutionCase
    dtype: Literal["f32", "f16"]
    run: KernelBinary | str
    replays: int


@dataclass(frozen=True)
class ConvolutionTime:
    """error: largest absolute error over the largest element, against float64."""

    us: float
    error: float
    ok: bool
    registers: int = 0
    spilled_bytes: int = 0
    code_bytes: int = 0


def measure_convolution(job: ConvolutionMeasurement) -> ConvolutionTime:
    """Check on a y full of NaN, then time by CUDA graph replays."""
    try:
        return _measure(job)
    except Exception as error:
        end_if_lost(error)
        raise


def _measure(job: ConvolutionMeasurement) -> ConvolutionTime:
    torch: Any = import_module("torch")
    kind = torch.float16 if job.dtype == "f16" else torch.float32
    generator = torch.Generator(device="cuda").manual_seed(0)
    x = torch.randn(job.case.input_shape, generator=generator, device="cuda").to(kind)
    weight = torch.from_numpy(job.case.weight).cuda().to(kind)
    with cudnn_modes(job.run == "cudnn tf32"):
        if isinstance(job.run, str):
            return _measure_peer(job, job.run, x, weight)
        return _measure_ours(job, job.run, x, weight)


def _measure_ours(
    job: ConvolutionMeasurement, binary: KernelBinary, x: Any, weight: Any
) -> ConvolutionTime:
    torch: Any = import_module("torch")
    expected, magnitude = _truth(job.case, x, weight)
    kernel = binary.load_on_gpu()
    try:
        y = torch.full(expected.shape, float("nan"), dtype=x.dtype, device="cuda")
        kernel(x, out=y)
        error, ok = _compare(job, y, expected, magnitude, job.dtype)
        us = _time(job, partial(kernel, x, out=y))
        loaded = kernel.kernel
        return ConvolutionTime(
            us, error, ok, loaded.registers, loaded.spilled_bytes, loaded.code_bytes
        )
    finally:
        kernel.kernel.unload()


def _measure_peer(job: ConvolutionMeasurement, peer: str, x: Any, weight: Any) -> ConvolutionTime:
    torch: Any = import_module("torch")
    expected, magnitude = _truth(job.case, x, weight)
    if peer.endswith("nhwc"):
        x = x.to(memory_format=torch.channels_last)
        weight = weight.to(memory_format=torch.channels_last)
    run = partial(
        torch.nn.functional.conv2d, x, weight, stride=job.case.stride, padding=job.case.padding
    )
    run()
    error, ok = _compare(job, run(), expected, magnitude, peer.split()[1])
    return ConvolutionTime(_time(job, run), error, ok)


def _truth(case: ConvolutionCase, x: Any, weight: Any) -> tuple[Any, Any]:
    """The result in float64, and that of the absolute values."""
    torch: Any = import_module("torch")
    convolve = partial(torch.nn.functional.conv2d, stride=case.stride, padding=case.padding)
    wide_x, wide = x.double(), weight.double()
    return convolve(wide_x, wide), convolve(wide_x.abs(), wide.abs())


def _compare(
    job: ConvolutionMeasurement, y: Any, expected: Any, magnitude: Any, arithmetic: str
) -> tuple[float, bool]:
    """The error, and whether each element is within its bound, as `verify.Problem.check`."""
    length = int(np.count_nonzero(job.case.weight.reshape(job.case.weight.shape[0], -1), 1).max())
    error = (y.double() - expected).abs()
    bound = _UNIT_ROUNDOFF[arithmetic] * (8 + 4 * np.sqrt(length)) * magnitude + 1e-30
    if job.dtype == "f16":
        bound = bound + 2.0**-11 * expected.abs() + 2.0**-24
    worst = (error / bound).nan_to_num(nan=float("inf")).max()
    largest = float(expected.abs().max())
    relative = float(error.nan_to_num(nan=float("inf")).max()) / max(largest, 1e-30)
    return relative, bool(worst <= 1)


def _time(job: ConvolutionMeasurement, run: Callable[[], object]) -> float:
    pixels = job.case.batch * (job.case.side // job.case.stride) ** 2
    work = job.case.weight.size if isinstance(job.run, str) else np.count_nonzero(job.case.weight)
    repeats = graph_repeats(int(work) * pixels)
    return time_launches(run, repeats=repeats, replays=job.replays).median_us


@contextmanager
def cudnn_modes(tf32: bool):
    """cuDNN tries its algorithms first; whether it may round f32 operands to TF32."""
    torch: Any = import_module("torch")
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.allow_tf32
    cudnn.benchmark, cudnn.allow_tf32 = True, tf32
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.allow_tf32 = before
