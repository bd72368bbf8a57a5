"""What is promised of a product holds of convolutions and of depthwise separable ones, too."""

from dataclasses import replace
from io import StringIO
from typing import Any, TypeAlias

import numpy as np
import pytest
import random_convolutions
import random_layers
import random_separable
from compiling import compile_convolution, compile_layer, compile_separable
from random_layers import CPU_CODE, CPU_DATA, GPU, GPU_DATA, run, stages
from test_concurrency import THREADS, at_once
from xdsl.parser import Parser
from xdsl.printer import Printer

import sparsert_ir
from sparsert_ir import Kernel, Schedule, SeparableKernel
from sparsert_ir.context import make_context
from sparsert_ir.dense import Array
from sparsert_ir.element_types import ROUNDOFF, SMALLEST, Dtype
from sparsert_ir.errors import ArgumentError, BudgetError, CallError, MatrixError
from sparsert_ir.runtime.device_array import DeviceArray
from sparsert_ir.schedule import Lowering
from sparsert_ir.window import Window

Example: TypeAlias = random_layers.Example | random_convolutions.Example | random_separable.Example
LAUNCHES = 50
WINDOW = Window(
    batch=2, channels=6, image=(9, 11), kernel=(3, 3), strides=(1, 2), padding=(1, 1, 1, 0)
)
KINDS = pytest.mark.parametrize("kind", ["product", "convolution", "separable"])
CONVOLUTIONS = pytest.mark.parametrize("kind", ["convolution", "separable"])
ON_CPUS = pytest.mark.parametrize("lowering", ["code", "data"])
ON_GPUS = pytest.mark.parametrize(
    ("kind", "lowering"),
    [
        ("product", "code"),
        ("product", "data"),
        ("convolution", "code"),
        ("convolution", "data"),
        ("separable", "code"),
    ],
)
DTYPES = pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])


def schedule_of(kind: str, lowering: Lowering, dtype: Dtype, place: str) -> Schedule:
    plain = Schedule(lowering=lowering, rows_per_panel=2 if lowering == "data" else 4)
    if dtype == "bf16" or (place == "gpu" and lowering == "data"):
        plain = replace(plain, accumulation="f32")
    if place == "gpu":
        return replace(plain, threads=64 if lowering == "data" else 32)
    return replace(plain, columns_per_thread=16)


def example_of(
    kind: str, schedule: Schedule, dtype: Dtype, *, real: bool = False, density: float = 0.5
) -> Example:
    """With bias, ReLU and a residual after it."""
    if kind == "product":
        product = random_layers.Case(
            40, 50, 24, density, dtype, True, "relu", "after", schedule, seed=1
        )
        make = random_layers.real_numbers if real else random_layers.whole_numbers
        return make(product)
    if kind == "convolution":
        convolution = random_convolutions.Case(
            WINDOW, 1, 10, WINDOW.channels, density, dtype, True, "relu", "after", schedule, seed=2
        )
        if real:
            return random_convolutions.real_numbers(convolution)
        return random_convolutions.whole_numbers(convolution)
    separable = random_separable.Case(
        WINDOW, 1, 10, density, dtype, (True, "relu"), True, "relu", "after", schedule, seed=3
    )
    if real:
        return random_separable.real_numbers(separable)
    return random_separable.whole_numbers(separable)


def compiled(example: Example, target: str | None, **more: Any) -> Kernel | SeparableKernel:
    if isinstance(example, random_convolutions.Example):
        return compile_convolution(example, target, **more)
    if isinstance(example, random_separable.Example):
        return compile_separable(example, target, fused=True, **more)
    assert not more
    return compile_layer(example.layer, target)


def error_bound(example: Example) -> Array:
    """As many roundings as the sums have additions, and a few more."""
    layer, dtype = example.layer, example.layer.dtype
    roundings = layer.matrix.shape[1] + 8
    if layer.depthwise is not None:
        roundings += layer.depthwise.matrix.shape[1]
    return 1.1 * roundings * (ROUNDOFF[dtype] * example.magnitude() + SMALLEST[dtype])


@pytest.mark.parametrize("pipeline", [GPU, GPU_DATA, CPU_CODE, CPU_DATA])
@pytest.mark.parametrize("generic", [False, True], ids=["readable", "generic"])
@CONVOLUTIONS
def test_every_stage_is_read_back_as_printed(kind: str, pipeline: str, generic: bool) -> None:
    if (kind, pipeline) == ("separable", GPU_DATA):
        return  # is refused: test_separable
    lowering: Lowering = "data" if pipeline in (GPU_DATA, CPU_DATA) else "code"
    place = "gpu" if pipeline in (GPU, GPU_DATA) else "cpu"
    example = example_of(kind, schedule_of(kind, lowering, "f32", place), "f32")
    for stage, module in stages(example.layer, pipeline):
        module.verify()
        stream = StringIO()
        Printer(stream, print_generic_format=generic).print_op(module)
        again = Parser(make_context(), stream.getvalue()).parse_module()
        again.verify()
        assert module.is_structurally_equivalent(again), f"after {stage}"


@pytest.mark.parametrize("pipeline", [GPU, GPU_DATA])
def test_a_convolution_does_not_depend_on_the_order_of_blocks(pipeline: str) -> None:
    lowering: Lowering = "data" if pipeline == GPU_DATA else "code"
    schedule = schedule_of("convolution", lowering, "f32", "gpu")
    example = example_of("convolution", schedule, "f32", real=True)
    *_, (_, module) = stages(example.layer, pipeline)
    first = run(module, example.layer.name, example.arguments, order_seed=None)
    for seed in range(3):
        again = run(module, example.layer.name, example.arguments, order_seed=seed)
        assert again.tobytes() == first.tobytes()


@KINDS
@ON_CPUS
@DTYPES
def test_calls_on_a_cpu_give_the_same_bits(kind: str, lowering: Any, dtype: Any) -> None:
    example = example_of(kind, schedule_of(kind, lowering, dtype, "cpu"), dtype, real=True)
    kernel = compiled(example, "cpu")
    first = kernel(*example.arguments).tobytes()
    assert all(kernel(*example.arguments).tobytes() == first for _ in range(LAUNCHES))


@KINDS
@ON_CPUS
@DTYPES
@pytest.mark.parametrize("density", [0.0, 1.0])
def test_empty_and_full_filters_on_a_cpu(
    kind: str, lowering: Any, dtype: Any, density: float
) -> None:
    schedule = schedule_of(kind, lowering, dtype, "cpu")
    example = example_of(kind, schedule, dtype, density=density)
    y = compiled(example, "cpu")(*example.arguments)
    np.testing.assert_array_equal(y, example.expected().astype(y.dtype), strict=True)


@KINDS
@ON_CPUS
def test_threads_compile_and_call_layers_of_their_own(kind: str, lowering: Any) -> None:
    example = example_of(kind, schedule_of(kind, lowering, "f32", "cpu"), "f32")
    expected = example.expected().astype(np.float32)

    def work(_: int) -> bool:
        kernel = compiled(example, "cpu")
        return all(np.array_equal(kernel(*example.arguments), expected) for _ in range(10))

    assert at_once(work) == [True] * THREADS


def _wrong_calls(x: Array, residual: Array) -> dict[str, tuple[tuple[Any, ...], Any]]:
    """Message -> arguments and out."""
    read_only = np.zeros_like(residual)
    read_only.setflags(write=False)
    shared = np.zeros(x.size + residual.size, x.dtype)
    x_in_shared = shared[: x.size].reshape(x.shape)
    out_in_shared = shared[x.size - 1 : x.size - 1 + residual.size].reshape(residual.shape)
    return {
        "x: expected shape": ((x[..., :-1].copy(), residual), None),
        "x: expected element type": ((x.astype(np.float64), residual), None),
        "x: expected row-major elements": ((np.asfortranarray(x), residual), None),
        "residual: expected an array": ((x,), None),
        "residual: expected shape": ((x, residual[..., :-1].copy()), None),
        "out: expected an array that may be written": ((x, residual), read_only),
        "out: expected memory of its own": ((x_in_shared, residual), out_in_shared),
    }


@KINDS
@ON_CPUS
def test_wrong_calls_are_refused_on_a_cpu(kind: str, lowering: Any) -> None:
    example = example_of(kind, schedule_of(kind, lowering, "f32", "cpu"), "f32")
    kernel = compiled(example, "cpu")
    for message, (arguments, out) in _wrong_calls(*example.arguments).items():
        with pytest.raises(CallError, match=message):
            kernel(*arguments, out=out)


@CONVOLUTIONS
@pytest.mark.parametrize("target", ["cpu", "sm_90"])
def test_too_much_code_is_refused_with_the_estimate(kind: str, target: str) -> None:
    place = "cpu" if target == "cpu" else "gpu"
    example = example_of(kind, schedule_of(kind, "code", "f32", place), "f32")
    with pytest.raises(BudgetError, match=r"at most 100 bytes of code, got about \d+ .* s to comp"):
        compiled(example, target, code_budget=100)


def _compile_plain(kind: str, weight: Array, shape: Any = (1, 3, 8, 8), **more: Any) -> object:
    """A filter of a convolution; one of the two of a separable one."""
    if kind == "convolution":
        return sparsert_ir.compile_conv2d(weight, shape, target="cpu", **more)
    good = np.ones((3, 1, 3, 3)), np.ones((4, 3))
    filters = (weight, good[1]) if kind == "depthwise" else (good[0], weight)
    return sparsert_ir.compile_depthwise_separable(*filters, shape, target="cpu", **more)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("convolution", (4, 3, 3, 3)), ("depthwise", (3, 1, 3, 3)), ("pointwise", (4, 3))],
)
def test_bad_filters_and_names_are_refused(kind: str, shape: tuple[int, ...]) -> None:
    good = np.ones(shape, np.float32)
    for value, dtype, message in (
        (np.nan, "f32", "expected finite values, got nan"),
        (-np.inf, "f32", "expected finite values, got -inf"),
        (1e6, "f16", "once rounded to float16"),
    ):
        weight = good.copy()
        weight.reshape(-1)[-1] = value
        with pytest.raises(MatrixError, match=message):
            _compile_plain(kind, weight, dtype=dtype)
    with pytest.raises(MatrixError, match="expected"):
        _compile_plain(kind, good * 1j)
    for name in ('k"', "k() { ret void }", "a b", "", "é", "k\n"):
        with pytest.raises(ArgumentError, match="name: expected"):
            _compile_plain(kind, good, name=name)
    with pytest.raises(ArgumentError, match="2147483647"):
        _compile_plain(kind, good, (2**20, 3, 100, 100))


@pytest.mark.usefixtures("gpu")
@ON_GPUS
@DTYPES
def test_fifty_launches_give_the_same_bits(kind: str, lowering: Any, dtype: Any) -> None:
    example = example_of(kind, schedule_of(kind, lowering, dtype, "gpu"), dtype, real=True)
    kernel = compiled(example, None)
    arrays = [DeviceArray.copy_of(array) for array in example.arguments]
    first = kernel(*arrays).numpy().tobytes()
    assert all(kernel(*arrays).numpy().tobytes() == first for _ in range(LAUNCHES))


@pytest.mark.usefixtures("gpu")
@ON_GPUS
@DTYPES
@pytest.mark.parametrize("density", [0.0, 0.5, 1.0])
def test_results_of_a_gpu_are_exact_and_within_the_error_bound(
    kind: str, lowering: Any, dtype: Any, density: float
) -> None:
    schedule = schedule_of(kind, lowering, dtype, "gpu")
    whole = example_of(kind, schedule, dtype, density=density)
    real = example_of(kind, schedule, dtype, real=True, density=density)
    kernels = [compiled(one, None) for one in (whole, real)]
    y, near = (
        kernel(*map(DeviceArray.copy_of, one.arguments)).numpy()
        for kernel, one in zip(kernels, (whole, real), strict=True)
    )
    np.testing.assert_array_equal(y, whole.expected().astype(y.dtype), strict=True)
    excess = np.abs(near.astype(np.float64) - real.expected()) / error_bound(real)
    worst = np.argwhere(excess == excess.max())[0]
    assert excess.max() <= 1, f"{excess.max()} times the bound at {worst}"


@pytest.mark.usefixtures("gpu")
@ON_GPUS
def test_wrong_calls_are_refused_on_a_gpu(kind: str, lowering: Any) -> None:
    example = example_of(kind, schedule_of(kind, lowering, "f32", "gpu"), "f32")
    kernel = compiled(example, None)
    x, residual = example.arguments
    for message, arguments in {
        "x: expected shape": (x[..., :-1].copy(), residual),
        "x: expected element type": (x.astype(np.float64), residual),
        "residual: expected an array": (x,),
        "residual: expected shape": (x, residual[..., :-1].copy()),
    }.items():
        with pytest.raises(CallError, match=message):
            kernel(*map(DeviceArray.copy_of, arguments))
    x_on_gpu, residual_on_gpu = map(DeviceArray.copy_of, (x, residual))
    with pytest.raises(CallError, match="out: expected shape"):
        kernel(x_on_gpu, residual_on_gpu, out=x_on_gpu)
    y = kernel(x_on_gpu, residual_on_gpu).numpy()
    np.testing.assert_array_equal(y, example.expected().astype(y.dtype))
