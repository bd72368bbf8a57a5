"""Random convolutions with legal schedules, and what they must compute."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from random_layers import CPU_CODE, CPU_DATA, GPU_DATA, data_schedules, fits_block, schedules
from random_numbers import Checked, Draw, Sign, apply_epilogue, normal, whole

from sparsert_ir.convolution import filter_matrix
from sparsert_ir.dense import Array
from sparsert_ir.element_types import DTYPES, Dtype, numpy_type
from sparsert_ir.errors import ArgumentError
from sparsert_ir.frontend import Layer, array_shapes
from sparsert_ir.schedule import Schedule
from sparsert_ir.window import Window


@dataclass(frozen=True)
class Case:
    """A convolution without its numbers; `outputs` and `inputs` are channels of one group."""

    window: Window
    groups: int
    outputs: int
    inputs: int
    density: float
    dtype: Dtype
    bias: bool
    activation: Literal["relu"] | None
    residual: Literal["none", "before", "after"]
    schedule: Schedule | None
    seed: int


@st.composite
def windows(draw: st.DrawFn, channels: int) -> Window:
    """Images of 1 to 9, filters of 1 to 5, every side padded on its own."""
    small = st.integers(1, 3)
    try:
        return Window(
            batch=draw(small),
            channels=channels,
            image=(draw(st.integers(1, 9)), draw(st.integers(1, 9))),
            kernel=(draw(st.integers(1, 5)), draw(st.integers(1, 5))),
            strides=(draw(small), draw(small)),
            padding=tuple(draw(st.integers(0, 4)) for _ in range(4)),  # pyright: ignore
            dilation=(draw(small), draw(small)),
            layout=draw(st.sampled_from(("nchw", "nhwc"))),
        )
    except ArgumentError:
        assume(False)
        raise


@st.composite
def convolutions(draw: st.DrawFn, pipeline: str) -> Case:
    """Windows, groups (depthwise too), densities, epilogues, schedules as `pipeline` takes them."""
    groups, inputs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    outputs = draw(st.integers(1, 4))
    window = draw(windows(groups * inputs) | _pointwise(groups * inputs))
    dtype = draw(st.sampled_from(DTYPES))
    on_cpu = pipeline in (CPU_DATA, CPU_CODE)
    given = data_schedules(dtype)
    if pipeline != GPU_DATA:
        given = schedules(pipeline, window.columns, dtype)
    schedule = draw(st.none() | given)
    if schedule is not None and pipeline != GPU_DATA:
        schedule = without_staging(schedule)
    if schedule is not None and pipeline == GPU_DATA:
        assume(schedule.threads % (schedule.columns_per_thread * schedule.column_groups) == 0)
    elif schedule is not None and not on_cpu:
        assume(fits_block(schedule, min(groups * outputs, schedule.rows_per_panel)))
    return Case(
        window=window,
        groups=groups,
        outputs=outputs,
        inputs=inputs,
        density=draw(st.sampled_from((0.0, 0.1, 0.5, 1.0))),
        dtype=dtype,
        bias=draw(st.booleans()),
        activation=draw(st.sampled_from(("relu", None))),
        residual=draw(st.sampled_from(("none", "before", "after"))),
        schedule=schedule,
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def without_staging(schedule: Schedule) -> Schedule:
    """Convolutions have none, and so no knobs of it."""
    plain = Schedule()
    return replace(
        schedule,
        staging=plain.staging,
        stages=plain.stages,
        rows_per_stage=plain.rows_per_stage,
    )


@st.composite
def _pointwise(draw: st.DrawFn, channels: int) -> Window:
    """1x1 filters: on NCHW images x itself is the matrix."""
    return Window(
        batch=draw(st.integers(1, 3)),
        channels=channels,
        image=(draw(st.integers(1, 5)), draw(st.integers(1, 5))),
        layout=draw(st.sampled_from(("nchw", "nhwc"))),
    )


@dataclass(frozen=True, eq=False)
class Example(Checked):
    """A convolution with its numbers; the arguments are x and, where there is one, the residual."""

    case: Case
    weight: Array
    layer: Layer
    arguments: list[Array]

    def apply(self, sign: Sign) -> Array:
        x, *residual = (sign(array.astype(np.float64)) for array in self.arguments)
        y = convolve(sign(self.weight.astype(np.float64)), x, self.case.window, self.case.groups)
        return apply_epilogue(y, self.layer, residual, self.case.window.channel_axis, sign)


def convolve(weight: Array, x: Array, window: Window, groups: int) -> Array:
    """The definition, on a padded copy of x and one tap at a time, in x's element type."""
    images = x if window.layout == "nchw" else x.transpose(0, 3, 1, 2)
    top, left, bottom, right = window.padding
    padded = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)))
    outputs, inputs, height, width = weight.shape
    per_group = outputs // groups
    y = np.zeros((window.batch, outputs, *window.output), x.dtype)
    for ty, tx in np.ndindex(height, width):
        rows = slice(ty * window.dilation[0], None, window.strides[0])
        columns = slice(tx * window.dilation[1], None, window.strides[1])
        seen = padded[:, :, rows, columns][:, :, : window.output[0], : window.output[1]]
        for group in range(groups):
            mine = slice(group * per_group, (group + 1) * per_group)
            source = seen[:, group * inputs : (group + 1) * inputs]
            y[:, mine] += np.einsum("oi,bihw->bohw", weight[mine, :, ty, tx], source)
    return y if window.layout == "nchw" else y.transpose(0, 2, 3, 1)


def whole_numbers(case: Case) -> Example:
    """Numbers so small that every partial sum is exact, in f16 and bf16 too."""
    random = np.random.default_rng(case.seed)
    return _example(case, whole(random, case.dtype), random)


def real_numbers(case: Case) -> Example:
    """Normally distributed numbers."""
    random = np.random.default_rng(case.seed)
    return _example(case, normal(random), random)


def _example(case: Case, draw: Draw, random: np.random.Generator) -> Example:
    dtype = numpy_type(case.dtype)
    outputs = case.groups * case.outputs
    shape = (outputs, case.inputs, *case.window.kernel)
    weight = (draw(*shape) * (random.random(shape) < case.density)).astype(dtype)
    layer = Layer(
        matrix=filter_matrix(weight, case.groups, dtype)[0],
        columns=case.window.columns,
        window=case.window,
        bias=draw(outputs).astype(dtype).astype(np.float32) if case.bias else None,
        activation=case.activation,
        residual=case.residual,
        dtype=case.dtype,
        schedule=case.schedule,
        name="convolution",
    )
    x_shape, y_shape = array_shapes(layer)
    shapes = [x_shape] if case.residual == "none" else [x_shape, y_shape]
    return Example(case, weight, layer, [draw(*shape).astype(dtype) for shape in shapes])
