"""Random depthwise and pointwise convolutions with legal schedules, and what they must compute."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from random_convolutions import convolve, windows, without_staging
from random_layers import CPU_CODE, CPU_DATA, fits_block, schedules
from random_numbers import Checked, Draw, Sign, add_bias, apply_epilogue, normal, whole

from sparsert_ir.convolution import filter_matrix
from sparsert_ir.dense import Array
from sparsert_ir.element_types import DTYPES, Dtype, numpy_type
from sparsert_ir.frontend import Depthwise, Layer, array_shapes
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule
from sparsert_ir.window import Window

NAME = "separable"


@dataclass(frozen=True)
class Case:
    """A pair of convolutions without its numbers.

    multiplier: filters of each channel. between: whether bias and activation follow the first one.
    """

    window: Window
    multiplier: int
    outputs: int
    density: float
    dtype: Dtype
    between: tuple[bool, Literal["relu"] | None]
    bias: bool
    activation: Literal["relu"] | None
    residual: Literal["none", "before", "after"]
    schedule: Schedule | None
    seed: int


@st.composite
def separables(draw: st.DrawFn, pipeline: str) -> Case:
    """Windows, filters per channel, densities, epilogues, schedules as `pipeline` takes them."""
    channels, multiplier = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    window, outputs = draw(windows(channels)), draw(st.integers(1, 6))
    dtype = draw(st.sampled_from(DTYPES))
    schedule = draw(st.none() | schedules(pipeline, window.columns, dtype))
    if schedule is not None:
        schedule = replace(without_staging(schedule), cluster=1)
    if schedule is not None and pipeline not in (CPU_DATA, CPU_CODE):
        between = schedule.threads * schedule.columns_per_thread * channels * multiplier
        assume(fits_block(schedule, min(outputs, schedule.rows_per_panel) + between // 8))
    epilogue = st.sampled_from(("relu", None))
    return Case(
        window=window,
        multiplier=multiplier,
        outputs=outputs,
        density=draw(st.sampled_from((0.0, 0.3, 1.0))),
        dtype=dtype,
        between=(draw(st.booleans()), draw(epilogue)),
        bias=draw(st.booleans()),
        activation=draw(epilogue),
        residual=draw(st.sampled_from(("none", "before", "after"))),
        schedule=schedule,
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@dataclass(frozen=True, eq=False)
class Example(Checked):
    """A pair of convolutions with its numbers; the arguments are x and, where there is one, the
    residual.
    """

    case: Case
    depthwise: Array
    pointwise: Array
    layer: Layer
    arguments: list[Array]

    def apply(self, sign: Sign) -> Array:
        window, layer = self.case.window, self.layer
        assert layer.depthwise is not None
        x, *residual = (sign(array.astype(np.float64)) for array in self.arguments)
        filters = sign(self.depthwise.astype(np.float64))
        axis = window.channel_axis
        y = convolve(filters, x, window, window.channels)
        y = add_bias(y, layer.depthwise.bias, axis, sign)
        if layer.depthwise.activation == "relu":
            y = np.maximum(y, 0)
        pointwise = sign(self.pointwise.astype(np.float64))[:, :, np.newaxis, np.newaxis]
        y = convolve(pointwise, y, self.between(), 1)
        return apply_epilogue(y, layer, residual, axis, sign)

    def between(self) -> Window:
        """The window of the second convolution."""
        return self.case.window.result(self.depthwise.shape[0])


def whole_numbers(case: Case) -> Example:
    """Numbers so small that every partial sum is exact, in f16 too: 25 taps of 3, 6 channels; in
    bf16 of 1.
    """
    random = np.random.default_rng(case.seed)
    return _example(case, whole(random, case.dtype), random)


def real_numbers(case: Case) -> Example:
    """Normally distributed numbers."""
    random = np.random.default_rng(case.seed)
    return _example(case, normal(random), random)


def _example(case: Case, draw: Draw, random: np.random.Generator) -> Example:
    dtype = numpy_type(case.dtype)
    rows = case.window.channels * case.multiplier

    def sparse(most: int, *shape: int) -> Array:
        return (draw(*shape, most=most) * (random.random(shape) < case.density)).astype(dtype)

    def bias(present: bool, count: int) -> Array | None:
        return draw(count).astype(dtype).astype(np.float32) if present else None

    depthwise, pointwise = sparse(1, rows, 1, *case.window.kernel), sparse(3, case.outputs, rows)
    has_bias, activation = case.between
    matrix = filter_matrix(depthwise, case.window.channels, dtype)[0]
    layer = Layer(
        matrix=SparseMatrix.of(pointwise, dtype),
        columns=case.window.columns,
        window=case.window,
        depthwise=Depthwise(matrix, bias(has_bias, rows), activation),
        bias=bias(case.bias, case.outputs),
        activation=case.activation,
        residual=case.residual,
        dtype=case.dtype,
        schedule=case.schedule,
        name=NAME,
    )
    x_shape, y_shape = array_shapes(layer)
    shapes = [x_shape] if case.residual == "none" else [x_shape, y_shape]
    arguments = [draw(*shape).astype(dtype) for shape in shapes]
    return Example(case, depthwise, pointwise, layer, arguments)
