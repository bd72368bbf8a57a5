"""From a random layer or convolution to a kernel, and a pruned layer of realistic size."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import random_convolutions
import random_separable

import sparsert_ir
from sparsert_ir import (
    Kernel,
    Schedule,
    SeparableKernel,
    compile_conv2d,
    compile_depthwise_separable,
)
from sparsert_ir.dense import Array
from sparsert_ir.frontend import Layer
from sparsert_ir.gpu_facts import CLUSTERS_FROM, OVERLAP_FROM, architecture_number
from sparsert_ir.runtime.device import require_gpu
from sparsert_ir.runtime.device_array import DeviceArray
from sparsert_ir.schedule import Lowering
from sparsert_ir.window import Window


def compile_layer(
    layer: Layer,
    target: str | None,
    schedule: Schedule | None = None,
    lowering: Lowering | None = None,
) -> Kernel:
    """`sparsert_ir.compile` on a layer; `schedule` instead of the layer's own where given."""
    return sparsert_ir.compile(
        layer.matrix,
        layer.columns,
        **epilogue_of(layer),
        target=target,
        lowering=lowering,
        schedule=layer.schedule if schedule is None else schedule,
    )


def epilogue_of(layer: Layer) -> dict[str, Any]:
    """What `compile` and its like call the epilogue and element type of a layer."""
    return {
        "bias": layer.bias,
        "activation": layer.activation,
        "residual": False if layer.residual == "none" else layer.residual,
        "dtype": layer.dtype,
    }


def geometry_of(window: Window) -> dict[str, Any]:
    """What `compile_conv2d` and its like call a window, besides the shape of its images."""
    return {
        "stride": window.strides,
        "padding": window.padding,
        "dilation": window.dilation,
        "layout": "NCHW" if window.layout == "nchw" else "NHWC",
    }


def fitting(schedule: Schedule | None, target: str | None) -> Schedule | None:
    """The schedule without what older GPUs lack; `target` None is the GPU present."""
    architecture = target or require_gpu().arch
    if schedule is None or architecture == "cpu":
        return schedule
    number = architecture_number(architecture)
    return replace(
        schedule,
        launch=schedule.launch if number >= OVERLAP_FROM else "serial",
        cluster=schedule.cluster if number >= CLUSTERS_FROM else 1,
    )


def run_on_gpu(
    kernel: Callable[..., Any], arguments: Sequence[Array], shape: Sequence[int]
) -> Array:
    """The result, into a y of that shape that is full of NaN before."""
    y = DeviceArray.copy_of(np.full(tuple(shape), np.nan, arguments[0].dtype))
    assert kernel(*map(DeviceArray.copy_of, arguments), out=y) is y
    return y.numpy()


def compile_convolution(
    example: random_convolutions.Example, target: str | None, **more: Any
) -> Kernel:
    """`compile_conv2d` on an example, its schedule fitting the target."""
    case, layer = example.case, example.layer
    window, schedule = case.window, fitting(example.case.schedule, target)
    return compile_conv2d(
        example.weight,
        window.array_shape,
        groups=case.groups,
        **geometry_of(window),
        **epilogue_of(layer),
        target=target,
        schedule=schedule,
        **more,
    )


def compile_separable(
    example: random_separable.Example, target: str | None, **more: Any
) -> SeparableKernel:
    """`compile_depthwise_separable` on an example, its schedule fitting the target."""
    case, layer, window = example.case, example.layer, example.case.window
    schedule = fitting(case.schedule, target)
    assert layer.depthwise is not None
    return compile_depthwise_separable(
        example.depthwise,
        example.pointwise,
        window.array_shape,
        depthwise_bias=layer.depthwise.bias,
        depthwise_activation=layer.depthwise.activation,
        **geometry_of(window),
        **epilogue_of(layer),
        target=target,
        schedule=schedule,
        **more,
    )


def pruned(rows: int, depth: int, density: float, seed: int = 0) -> Array:
    """A matrix of small whole numbers whose rows are as uneven as in a pruned network: the number
    of nonzeros per row has a coefficient of variation of about 0.42 (gamma distributed).
    """
    random = np.random.default_rng(seed)
    shape = 1 / 0.42**2
    wanted = random.gamma(shape, depth * density / shape, rows)
    lengths = np.clip(np.rint(wanted), 0, depth).astype(np.int64)
    weight = np.zeros((rows, depth), np.float32)
    for row, length in enumerate(lengths):
        columns = random.permutation(depth)[:length]
        weight[row, columns] = random.choice([-2, -1, 1, 2], length)
    return weight
