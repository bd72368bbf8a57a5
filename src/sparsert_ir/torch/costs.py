"""Whether a sparse layer pays: predicted for a GPU, measured on the machine at hand."""

import math
import time
from collections.abc import Callable
from typing import Any

from sparsert_ir.convolution_schedules import default_convolution
from sparsert_ir.cost_model import default_gpu_schedule, default_lowering
from sparsert_ir.limits import ELEMENT_BYTES, LAUNCH_US, GpuLimits, limits_of
from sparsert_ir.prediction import Product, predict_dense_us, predict_us
from sparsert_ir.runtime.timing import time_launches
from sparsert_ir.torch.convolution import SparseConv2d
from sparsert_ir.torch.filters import FilterLayer
from sparsert_ir.torch.framework import Module, Tensor, torch
from sparsert_ir.torch.linear import SparseLinear
from sparsert_ir.window import Window

_TIMED_SECONDS = 0.03
_FEWEST_RUNS, _MOST_RUNS = 3, 200


def columns_of(module: Module, shape: tuple[int, ...]) -> int:
    """N of the product that a sparse or dense module computes for x of that shape."""
    if isinstance(module, (SparseLinear, torch.nn.Linear)):
        return math.prod(shape[:-1])
    with torch.device("meta"):
        conv = torch.nn.Conv2d(
            1, 1, module.kernel_size, module.stride, module.padding, module.dilation
        )
        result = conv(torch.empty((1, 1, *shape[-2:])))
    images = shape[0] if len(shape) == 4 else 1
    return images * math.prod(result.shape[-2:])


def predicted_us(
    dense: Module, sparse: Module, shape: tuple[int, ...], architecture: str
) -> tuple[float, float]:
    """(dense, sparse) microseconds of one call on a GPU, launched from a CUDA graph.

    The sparse time is that of the kernel with the schedule that the compiler chooses, and of the
    copies around it. A dense convolution counts as the matrix product that it comes down to, which
    real ones rarely reach.
    """
    limits = limits_of(architecture)
    layer = sparse.layer
    columns = columns_of(dense, shape)
    whole = Product(layer.matrix.shape, layer.matrix.nonzeros, columns, layer.dtype)
    dense_us = predict_dense_us(whole, _math_mode(dense, layer.dtype, limits), limits)
    if isinstance(layer, FilterLayer):
        return dense_us, predict_us(_window_schedule(layer, shape, architecture), whole, limits)
    images = shape[0] if isinstance(sparse, SparseConv2d) and len(shape) == 4 else 1
    each = Product(whole.shape, whole.nonzeros, columns // max(images, 1), layer.dtype)
    lowering = default_lowering(each.shape, each.nonzeros, each.columns)
    schedule = default_gpu_schedule(
        each.shape, each.columns, layer.dtype, each.nonzeros, lowering, architecture
    )
    sparse_us = images * predict_us(schedule, each, limits)
    return dense_us, sparse_us + _copy_us(sparse, each, limits)


def _window_schedule(layer: FilterLayer, shape: tuple[int, ...], architecture: str) -> Any:
    geometry = layer.geometry
    batch = shape if len(shape) == 4 else (1, *shape)
    window = Window(
        batch=batch[0],
        channels=batch[1],
        image=(batch[2], batch[3]),
        kernel=(layer.weight.shape[2], layer.weight.shape[3]),
        strides=geometry.stride,
        padding=geometry.padding,
        dilation=geometry.dilation,
    )
    return default_convolution(layer.matrix.shape, window, layer.dtype, architecture)


def _copy_us(sparse: Module, product: Product, limits: GpuLimits) -> float:
    """Of the copy of x before a kernel, where there is one."""
    is_copied = isinstance(sparse, SparseLinear) and product.columns > 1
    if not is_copied and (isinstance(sparse, SparseLinear) or sparse.stride == (1, 1)):
        return 0.0
    moved = 2 * product.shape[1] * product.columns * ELEMENT_BYTES[product.dtype]
    return 2 * LAUNCH_US + limits.bytes_us(moved)


def _math_mode(dense: Module, dtype: str, limits: GpuLimits) -> str:
    """The one in which torch multiplies; the faster one where it does not tell."""
    if dtype == "f16":
        return "f16"
    backends = torch.backends
    switches = backends.cuda.matmul if isinstance(dense, torch.nn.Linear) else backends.cudnn
    try:
        allowed: bool = switches.allow_tf32
    except RuntimeError:
        allowed = True
    return "tf32" if allowed and "tf32" in limits.dense_flops else "f32"


def measured_us(module: Module, shape: tuple[int, ...], like: Tensor) -> float:
    """Microseconds of one call on this machine, x and y in cache where they fit.

    like: a tensor with the element type and device of x.
    """
    x = torch.randn(shape, device=like.device).to(like.dtype)
    with torch.inference_mode():
        if like.device.type == "cuda":
            ordinal = like.device.index or 0
            return time_launches(lambda: module(x), ordinal=ordinal).median_us
        return shortest_us(lambda: module(x))


def shortest_us(run: Callable[[], object]) -> float:
    """The shortest of repeated runs on this CPU: what else runs here only makes them longer."""
    run()
    times: list[float] = []
    end = time.perf_counter() + _TIMED_SECONDS
    while len(times) < _FEWEST_RUNS or (time.perf_counter() < end and len(times) < _MOST_RUNS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return 1e6 * min(times)
