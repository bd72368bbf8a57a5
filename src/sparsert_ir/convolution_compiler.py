"""The public entry for convolutions: from a filter to a kernel."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, Literal, cast

import numpy.typing as npt

from sparsert_ir.compiler import ScheduleLike, compile_layer
from sparsert_ir.convolution import filter_matrix
from sparsert_ir.cost_model.budget import CODE_BUDGET
from sparsert_ir.element_types import DtypeLike, dtype_of, numpy_type
from sparsert_ir.errors import ArgumentError
from sparsert_ir.frontend import Layer
from sparsert_ir.kernel import Kernel
from sparsert_ir.layer_arguments import LARGEST_ARRAY, is_integer, make_layer
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Lowering
from sparsert_ir.targets import target_of
from sparsert_ir.window import Window


def compile_conv2d(
    weight: npt.ArrayLike,
    input_shape: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    layout: Literal["NCHW", "NHWC"] = "NCHW",
    bias: npt.ArrayLike | None = None,
    activation: Literal["relu"] | None = None,
    residual: bool | Literal["before", "after"] = False,
    dtype: DtypeLike = "f32",
    target: str | None = None,
    lowering: Lowering | None = None,
    schedule: ScheduleLike = None,
    name: str = "conv2d",
    code_budget: int = CODE_BUDGET,
    threads: int | None = None,
) -> Kernel:
    """Compile a 2-D convolution (cross-correlation, as in torch) with this one filter.

    weight:      (O, I / groups, height, width), zeros included: a numpy array or a torch tensor.
    input_shape: of x: (images, I, height, width), or (images, height, width, I) for "NHWC".
    stride, dilation: one number, or (vertical, horizontal).
    padding:     one number, (vertical, horizontal) or (top, left, bottom, right), in pixels.
    groups:      I for a depthwise convolution.
    layout:      of x, y and the residual.

    The other arguments, and what holds of zeros, of sums and of errors, are `compile`'s, M being O.
    What lies outside the images is not read and counts as 0.
    """
    kind = target_of(target)
    layer = convolution_layer(
        weight,
        input_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        layout=layout,
        bias=bias,
        activation=activation,
        residual=residual,
        dtype=dtype,
        name=name,
    )
    return compile_layer(layer, kind, schedule, lowering, code_budget, threads)


def convolution_layer(
    weight: npt.ArrayLike,
    input_shape: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    layout: Any,
    bias: npt.ArrayLike | None,
    activation: Any,
    residual: Any,
    dtype: Any,
    name: Any,
) -> Layer:
    """The layer that arguments of `compile_conv2d` describe, without a schedule; its errors."""
    if not isinstance(layout, str) or layout not in ("NCHW", "NHWC"):
        raise ArgumentError(f'layout: expected "NCHW" or "NHWC", got {layout!r}')
    matrix, kernel = filter_matrix(weight, groups, numpy_type(dtype_of(dtype)))
    window = _window(input_shape, kernel, stride, padding, dilation, layout)
    _check_sizes(matrix, window)
    layer = make_layer(
        matrix, 1, bias=bias, activation=activation, residual=residual, dtype=dtype, name=name
    )
    return replace(layer, columns=window.columns, window=window)


def _window(
    input_shape: Any, kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any, layout: str
) -> Window:
    images, *others = _integers("input_shape", input_shape, (4,))
    channels, height, width = others if layout == "NCHW" else (others[2], others[0], others[1])
    return Window(
        batch=images,
        channels=channels,
        image=(height, width),
        kernel=kernel,
        strides=_pair("stride", stride),
        padding=_padding(padding),
        dilation=_pair("dilation", dilation),
        layout="nchw" if layout == "NCHW" else "nhwc",
    )


def _check_sizes(matrix: SparseMatrix, window: Window) -> None:
    if window.depth != matrix.shape[1]:
        expected = matrix.shape[1] // (window.kernel[0] * window.kernel[1])
        raise ArgumentError(f"input_shape: expected {expected} channels, got {window.channels}")
    sizes = [prod(one.array_shape) for one in (window, window.result(matrix.shape[0]))]
    if max(sizes) > LARGEST_ARRAY:
        raise ArgumentError(
            f"input_shape: expected at most {LARGEST_ARRAY} elements in x and in y, got {sizes};"
            " compile for fewer images and call several times"
        )


def _pair(name: str, value: Any) -> tuple[int, int]:
    """(vertical, horizontal) of one number or two."""
    numbers = _integers(name, value, (1, 2))
    return numbers[0], numbers[-1]


def _padding(value: Any) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of one number, two or four."""
    numbers = _integers("padding", value, (1, 2, 4))
    top, left, bottom, right = (numbers * 4)[:4] if len(numbers) < 4 else numbers
    return top, left, bottom, right


def _integers(name: str, value: Any, counts: tuple[int, ...]) -> list[int]:
    numbers = [value] if is_integer(value) else value
    if isinstance(numbers, list | tuple) and len(cast(Any, numbers)) in counts:
        whole = cast(Sequence[Any], numbers)
        if all(is_integer(number) for number in whole):
            return [int(number) for number in whole]
    wanted = " or ".join(str(count) for count in counts)
    raise ArgumentError(f"{name}: expected whole numbers, {wanted} of them, got {value!r}")
