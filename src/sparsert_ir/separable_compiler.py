"""The public entry for a depthwise convolution followed by a pointwise one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy.typing as npt

from sparsert_ir.compiler import ScheduleLike, compile_layer
from sparsert_ir.convolution import filter_array
from sparsert_ir.convolution_compiler import convolution_layer
from sparsert_ir.cost_model.budget import CODE_BUDGET
from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.dense import Array
from sparsert_ir.element_types import DtypeLike
from sparsert_ir.errors import ArgumentError, MatrixError
from sparsert_ir.frontend import Depthwise, Layer
from sparsert_ir.kernel import Kernel
from sparsert_ir.schedule import Lowering
from sparsert_ir.schedules.separable import SeparableChoice, choose_separable
from sparsert_ir.targets import target_of


@dataclass(frozen=True, eq=False)
class SeparableKernel:
    """`y = kernel(x, residual=None, out=None, stream=None)`, made by `compile_depthwise_separable`.

    kernels: the one that computes both convolutions, or one for each.
    reason:  why, in words.
    """

    kernels: tuple[Kernel, ...]
    reason: str

    def __repr__(self) -> str:
        return f"SeparableKernel({', '.join(map(repr, self.kernels))}; {self.reason})"

    @property
    def is_fused(self) -> bool:
        """Whether one kernel computes both."""
        return len(self.kernels) == 1

    @property
    def target(self) -> str:
        """ "cpu" or the architecture of a GPU."""
        return self.kernels[-1].target

    def load(self) -> "SeparableKernel":
        """As `Kernel.load`, for all kernels."""
        for kernel in self.kernels:
            kernel.load()
        return self

    def __call__(
        self, x: object, residual: object = None, out: object = None, stream: object = None
    ) -> Any:
        """Compute y; arguments and errors as of `Kernel`. The first of two kernels allocates its
        result at every call, with the library of x.
        """
        for kernel in self.kernels[:-1]:
            x = kernel(x, stream=stream)
        return self.kernels[-1](x, residual, out, stream)


def compile_depthwise_separable(
    depthwise: npt.ArrayLike,
    pointwise: npt.ArrayLike,
    input_shape: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    layout: Literal["NCHW", "NHWC"] = "NCHW",
    depthwise_bias: npt.ArrayLike | None = None,
    depthwise_activation: Literal["relu"] | None = None,
    bias: npt.ArrayLike | None = None,
    activation: Literal["relu"] | None = None,
    residual: bool | Literal["before", "after"] = False,
    dtype: DtypeLike = "f32",
    target: str | None = None,
    fused: bool | None = None,
    lowering: Lowering | None = None,
    schedule: ScheduleLike = None,
    name: str = "separable",
    code_budget: int = CODE_BUDGET,
    threads: int | None = None,
) -> SeparableKernel:
    """Compile a block of MobileNet: a convolution of each channel by itself, with bias and
    activation, then a sparse 1x1 convolution of all channels.

    depthwise:   (C * m, 1, height, width): m filters for each of the C channels of x, usually one.
    pointwise:   (O, C * m) or (O, C * m, 1, 1).
    input_shape: of x, as `compile_conv2d`; stride, padding and dilation are the first one's.
    depthwise_bias, depthwise_activation: C * m numbers; "relu" or None.
    fused:       True: one kernel, in which what is between stays in shared memory or in cache;
                 False: two; None: one where the cost model says that it is faster, or where a
                 schedule is given.
    schedule, lowering: of the one kernel, or of the second of two.

    Other arguments, and what holds of zeros, sums and errors, are those of `compile_conv2d`; zeros
    of both filters are skipped. In one kernel what is between has the element type of the sums, of
    two kernels that of x.
    """
    kind = target_of(target)
    layers = separable_layers(
        depthwise,
        pointwise,
        input_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        layout=layout,
        depthwise_bias=depthwise_bias,
        depthwise_activation=depthwise_activation,
        bias=bias,
        activation=activation,
        residual=residual,
        dtype=dtype,
        name=name,
    )
    choice = _choice(layers.both, kind, fused, lowering, scheduled=schedule is not None)
    if choice.fused:
        kernels = (compile_layer(layers.both, kind, schedule, lowering, code_budget, threads),)
    else:
        kernels = (
            compile_layer(layers.depthwise, kind, None, None, code_budget, threads),
            compile_layer(layers.pointwise, kind, schedule, lowering, code_budget, threads),
        )
    return SeparableKernel(kernels, choice.reason)


@dataclass(frozen=True, eq=False)
class SeparableLayers:
    """The two convolutions, each by itself, and both in one kernel; without schedules."""

    depthwise: Layer
    pointwise: Layer
    both: Layer


def separable_layers(
    depthwise: Any,
    pointwise: Any,
    input_shape: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    layout: Any = "NCHW",
    depthwise_bias: Any = None,
    depthwise_activation: Any = None,
    bias: Any = None,
    activation: Any = None,
    residual: Any = False,
    dtype: Any = "f32",
    name: str = "separable",
) -> SeparableLayers:
    """The layers that arguments of `compile_depthwise_separable` describe; its errors."""
    first = convolution_layer(
        _filters(depthwise),
        input_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=_channels(input_shape, layout),
        layout=layout,
        bias=depthwise_bias,
        activation=depthwise_activation,
        residual=False,
        dtype=dtype,
        name=f"{name}_depthwise",
    )
    assert first.window is not None
    channels = first.matrix.shape[0]
    second = convolution_layer(
        _pointwise(pointwise, channels),
        first.window.result(channels).array_shape,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        layout=layout,
        bias=bias,
        activation=activation,
        residual=residual,
        dtype=dtype,
        name=name,
    )
    part = Depthwise(first.matrix, first.bias, first.activation)
    return SeparableLayers(first, second, replace(second, window=first.window, depthwise=part))


def _choice(
    layer: Layer, target: str, fused: Any, lowering: Any, *, scheduled: bool
) -> SeparableChoice:
    if not isinstance(fused, bool | None):
        raise ArgumentError(f"fused: expected True, False or None, got {fused!r}")
    if fused is None and not scheduled:
        if target != "cpu" and isinstance(lowering, str) and lowering == "data":
            return SeparableChoice(False, "on a GPU one kernel for both is code")
        return choose_separable(ConvolutionFacts.of(layer), target)
    return SeparableChoice(fused is not False, "as asked for")


def _channels(input_shape: Any, layout: Any) -> int:
    """Channels of x; 1 where the shape is none, which is refused later."""
    place = 1 if isinstance(layout, str) and layout == "NCHW" else 3
    try:
        return int(input_shape[place])
    except (TypeError, ValueError, LookupError, OverflowError):
        return 1


def _filters(depthwise: Any) -> Array:
    array = filter_array(depthwise)
    if array.ndim != 4 or array.shape[1] != 1:
        raise MatrixError(
            "depthwise: expected a filter of shape (C * m, 1, height, width), m for each of the C"
            f" channels of x, got shape {array.shape}"
        )
    return array


def _pointwise(weight: Any, channels: int) -> Array:
    """As a filter of four dimensions."""
    array = filter_array(weight.toarray() if hasattr(weight, "toarray") else weight)
    shape = array.shape
    is_matrix = len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1))
    if not is_matrix or shape[1] != channels:
        raise MatrixError(
            f"pointwise: expected a matrix (O, {channels}) or a filter (O, {channels}, 1, 1), a"
            f" column for each channel of the depthwise result, got shape {shape}"
        )
    return array.reshape(*shape[:2], 1, 1)
