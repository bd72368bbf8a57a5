"""Whether a sparse layer pays: predicted for a GPU, measured on the machine at hand."""

import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.cost_model.cpu import CpuFacts, predict_cpu, predict_dense_cpu
from sparsert_ir.cost_model.cpu_convolution import predict_cpu_convolution
from sparsert_ir.cost_model.gpu import Product, predict_dense_us, predict_us
from sparsert_ir.cost_model.limits import LAUNCH_US, GpuLimits, limits_of
from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.runtime.timing import time_launches
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.convolution import convolution_lowering, default_convolution
from sparsert_ir.schedules.cpu import best_cpu_convolution, best_cpu_schedule
from sparsert_ir.schedules.default import default_lowering, gpu_schedule_for
from sparsert_ir.torch.convolution import SparseConv2d
from sparsert_ir.torch.filters import FilterLayer
from sparsert_ir.torch.framework import Module, Tensor, torch
from sparsert_ir.torch.linear import SparseLinear
from sparsert_ir.window import Window

_OPERATOR_US, _COPY_US = 12.0, 0.0004
"""Of torch's way to an operator, and of each element of x that is copied, on the CPU that
`cost_model.cpu` was fitted to (docs/pytorch.md)."""
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
    dense: Module, sparse: Module, shape: tuple[int, ...], target: str
) -> tuple[float, float]:
    """(dense, sparse) microseconds of one call: on a GPU, launched from a CUDA graph; on one thread
    of a CPU.

    The sparse time is that of the kernel with the schedule that the compiler chooses, and of the
    copies around it. Convolutions, dense and sparse, count as the matrix products that they come
    down to, which real dense ones rarely reach.
    """
    layer = sparse.layer
    columns = columns_of(dense, shape)
    whole = Product(layer.matrix.shape, layer.matrix.nonzeros, columns, layer.dtype)
    if target == "cpu":
        return _predicted_on_cpu(sparse, whole, shape)
    return _predicted_on_gpu(dense, sparse, shape, whole, target)


def _images(sparse: Module, shape: tuple[int, ...]) -> int:
    """Launches of a product for one call."""
    return shape[0] if isinstance(sparse, SparseConv2d) and len(shape) == 4 else 1


def _predicted_on_cpu(
    sparse: Module, whole: Product, shape: tuple[int, ...]
) -> tuple[float, float]:
    (rows, depth), n = whole.shape, whole.columns
    if isinstance(sparse.layer, FilterLayer):
        return _filter_on_cpu(sparse.layer, whole, shape)
    dense_us = 1e6 * predict_dense_cpu(CpuFacts(rows, depth, n, whole.nonzeros, whole.dtype))
    images = _images(sparse, shape)
    facts = CpuFacts(rows, depth, n // max(images, 1), whole.nonzeros, whole.dtype)
    sparse_us = images * 1e6 * predict_cpu(facts, best_cpu_schedule(facts))
    copied = depth * n if _is_copied(sparse, n) else 0
    return dense_us, sparse_us + _OPERATOR_US + _COPY_US * copied


def _filter_on_cpu(
    layer: FilterLayer, whole: Product, shape: tuple[int, ...]
) -> tuple[float, float]:
    rows, depth = whole.shape[0], whole.shape[1] // layer.geometry.groups
    dense = CpuFacts(rows, depth, whole.columns, whole.nonzeros, whole.dtype)
    facts = ConvolutionFacts(_window_of(layer, shape), rows, whole.nonzeros, whole.dtype)
    sparse_us = 1e6 * predict_cpu_convolution(facts, best_cpu_convolution(facts))
    return 1e6 * predict_dense_cpu(dense), sparse_us + _OPERATOR_US


def _predicted_on_gpu(
    dense: Module, sparse: Module, shape: tuple[int, ...], whole: Product, architecture: str
) -> tuple[float, float]:
    layer, limits = sparse.layer, limits_of(architecture)
    dense_us = predict_dense_us(whole, _math_mode(dense, layer.dtype, limits), limits)
    if isinstance(layer, FilterLayer):
        schedule = _window_schedule(layer, shape, architecture)
        return dense_us, predict_us(schedule, whole, limits)
    images = _images(sparse, shape)
    each = Product.of(layer.matrix, whole.columns // max(images, 1), layer.dtype)
    lowering = default_lowering(each.shape, each.nonzeros, each.columns)
    schedule = gpu_schedule_for(layer.matrix, each.columns, layer.dtype, lowering, architecture)
    sparse_us = images * predict_us(schedule, each, limits)
    return dense_us, sparse_us + _copy_us(sparse, whole, limits)


def _window_of(layer: FilterLayer, shape: tuple[int, ...]) -> Window:
    return layer.window(shape if len(shape) == 4 else (1, *shape))


def _window_schedule(layer: FilterLayer, shape: tuple[int, ...], architecture: str) -> Schedule:
    window = _window_of(layer, shape)
    lowering = convolution_lowering(layer.matrix.shape, layer.nonzeros, window).lowering
    return default_convolution(
        layer.matrix.shape, window, layer.dtype, architecture, lowering, layer.nonzeros
    )


def _copy_us(sparse: Module, product: Product, limits: GpuLimits) -> float:
    """Of the copy of x before a kernel, where there is one."""
    if not _is_copied(sparse, product.columns):
        return 0.0
    moved = 2 * product.shape[1] * product.columns * ELEMENT_BYTES[product.dtype]
    return 2 * LAUNCH_US + limits.bytes_us(moved)


def _is_copied(sparse: Module, columns: int) -> bool:
    """Whether the kernel of a product reads a copy of x."""
    return columns > 1 if isinstance(sparse, SparseLinear) else sparse.stride != (1, 1)


def _math_mode(dense: Module, dtype: str, limits: GpuLimits) -> str:
    """The one in which torch multiplies; the faster one where it does not tell."""
    if dtype != "f32":
        return dtype
    backends = torch.backends
    switches = backends.cuda.matmul if isinstance(dense, torch.nn.Linear) else backends.cudnn
    try:
        allowed: bool = switches.allow_tf32
    except RuntimeError:
        allowed = True
    return "tf32" if allowed and "tf32" in limits.dense_flops else "f32"


def measured_us(
    dense: Module, sparse: Module, shape: tuple[int, ...], like: Tensor
) -> tuple[float, float]:
    """(dense, sparse) microseconds of one call on this machine, x and y in cache where they fit.

    On a CPU, dense is the faster one of all threads and of one: where other programs keep the cores
    busy, torch's threads wait for each other for so long that comparing with them says nothing.
    like: a tensor with the element type and device of x.
    """
    x = torch.randn(shape, device=like.device).to(like.dtype)
    with torch.inference_mode():
        if like.device.type == "cuda":
            times = [
                time_launches(lambda one=one: one(x), ordinal=like.device.index or 0).median_us
                for one in (dense, sparse)
            ]
            return times[0], times[1]
        sparse_us = shortest_us(lambda: sparse(x))
        dense_us = shortest_us(lambda: dense(x))
        with _one_thread():
            return min(dense_us, shortest_us(lambda: dense(x))), sparse_us


@contextmanager
def _one_thread() -> Generator[None]:
    """Of torch, inside the `with`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
