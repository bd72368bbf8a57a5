"""Convolutions against scipy and torch in float64: filters of 1 to 9, even and odd images."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from compiling import run_on_gpu
from random_layers import CPU_DATA, GPU, GPU_DATA, run, stages
from scipy import signal

from sparsert_ir import compile_conv2d
from sparsert_ir.convolution_compiler import convolution_layer
from sparsert_ir.dense import Array

_SIZES = range(1, 10)


@dataclass(frozen=True)
class Geometry:
    """Arguments of `compile_conv2d`; `channels` and `outputs` are of one group."""

    kernel: tuple[int, int]
    image: tuple[int, int]
    batch: int
    channels: int
    outputs: int
    groups: int
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]

    @property
    def arguments(self) -> dict[str, Any]:
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.channels * self.groups, *self.image


def geometries() -> Iterator[Geometry]:
    """Every filter size with an even and an odd image, the rest mixed, always in the same way."""
    mix = random.Random(0)
    for size, odd in itertools.product(_SIZES, (0, 1)):
        kernel = (size, mix.choice((size, mix.choice(_SIZES))))
        dilation = tuple(mix.choice((1, 1, 2, 3)) for _ in range(2))
        spans = [step * (width - 1) + 1 for step, width in zip(dilation, kernel, strict=True)]
        image = [2 * (span // 2) + mix.choice((2, 4, 6)) + odd for span in spans]
        yield Geometry(
            kernel=kernel,
            image=(image[0], image[1]),
            batch=mix.choice((1, 2, 3)),
            channels=mix.choice((1, 2, 3)),
            outputs=mix.choice((1, 2, 4)),
            groups=mix.choice((1, 2, 3)),
            stride=(mix.choice((1, 2, 3)), mix.choice((1, 2, 3))),
            padding=tuple(mix.choice((0, 1, size // 2)) for _ in range(4)),  # pyright: ignore
            dilation=(dilation[0], dilation[1]),
        )


GEOMETRIES = list(geometries())
CASES = pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda one: f"{one.kernel}@{one.image}")


def numbers(geometry: Geometry) -> tuple[Array, Array]:
    """A sparse filter and x, whole numbers whose sums are exact in f32, in float64."""
    draw = np.random.default_rng(GEOMETRIES.index(geometry))
    shape = (geometry.outputs * geometry.groups, geometry.channels, *geometry.kernel)
    weight = draw.integers(-3, 4, shape) * (draw.random(shape) < 0.4)
    return weight.astype(np.float64), draw.integers(-3, 4, geometry.input_shape).astype(np.float64)


def by_scipy(geometry: Geometry, weight: Array, x: Array) -> Array:
    """`scipy.signal.correlate2d` of each pair of channels, with zeros between dilated taps."""
    top, left, bottom, right = geometry.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = (
        step * (size - 1) + 1 for step, size in zip(geometry.dilation, geometry.kernel, strict=True)
    )
    spread: Array = np.zeros((*weight.shape[:2], height, width))
    spread[:, :, :: geometry.dilation[0], :: geometry.dilation[1]] = weight
    images: list[list[Array]] = []
    for image in padded:
        rows = enumerate(spread)
        images.append([_row(geometry, image, row, taps) for row, taps in rows])
    down, across = geometry.stride
    return np.array(images)[:, :, ::down, ::across]


def _row(geometry: Geometry, image: Array, row: int, taps: Array) -> Array:
    first = row // geometry.outputs * geometry.channels
    pairs = zip(image[first : first + geometry.channels], taps, strict=True)
    return sum(signal.correlate2d(channel, tap, mode="valid") for channel, tap in pairs)  # pyright: ignore


def test_every_size_and_parity_is_there() -> None:
    assert {one.kernel[0] for one in GEOMETRIES} == set(_SIZES)
    for parity in (0, 1):
        assert {one.kernel[0] for one in GEOMETRIES if one.image[0] % 2 == parity} == set(_SIZES)
    for field in ("stride", "dilation"):
        assert {getattr(one, field)[0] for one in GEOMETRIES} == {1, 2, 3}
    assert {one.groups for one in GEOMETRIES} == {one.batch for one in GEOMETRIES} == {1, 2, 3}
    assert any(len(set(one.padding)) > 2 for one in GEOMETRIES)


@CASES
def test_cpu_kernels_are_scipys_correlation(geometry: Geometry) -> None:
    weight, x = numbers(geometry)
    kernel = compile_conv2d(weight, x.shape, target="cpu", threads=2, **geometry.arguments)
    expected = by_scipy(geometry, weight, x)
    np.testing.assert_array_equal(kernel(x.astype(np.float32)), expected)


@CASES
def test_cpu_kernels_of_pixels_with_neighbouring_channels_are_scipys_correlation(
    geometry: Geometry,
) -> None:
    weight, x = numbers(geometry)
    pixels = x.transpose(0, 2, 3, 1).astype(np.float32, order="C")
    arguments: dict[str, Any] = {"layout": "NHWC", "target": "cpu", **geometry.arguments}
    y = compile_conv2d(weight, pixels.shape, **arguments)(pixels)
    expected = by_scipy(geometry, weight, x).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("pipeline", [GPU, GPU_DATA, CPU_DATA])
@pytest.mark.parametrize("geometry", GEOMETRIES[::4], ids=lambda one: f"{one.kernel}@{one.image}")
def test_every_stage_is_scipys_correlation(geometry: Geometry, pipeline: str) -> None:
    weight, x = numbers(geometry)
    layer = convolution_layer(
        weight,
        x.shape,
        layout="NCHW",
        bias=None,
        activation=None,
        residual=False,
        dtype="f32",
        name="convolution",
        **geometry.arguments,
    )
    expected = by_scipy(geometry, weight, x)
    for stage, module in stages(layer, pipeline):
        y = run(module, "convolution", [x.astype(np.float32)])
        np.testing.assert_array_equal(y, expected, err_msg=f"after {stage}")


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("lowering", ["code", "data"])
@CASES
def test_gpu_kernels_are_scipys_correlation(geometry: Geometry, lowering: Any) -> None:
    weight, x = numbers(geometry)
    expected = by_scipy(geometry, weight, x)
    for dtype, kind in (("f32", np.float32), ("f16", np.float16)):
        kernel = compile_conv2d(
            weight,
            x.shape,
            dtype=dtype,  # pyright: ignore[reportArgumentType]
            lowering=lowering,
            **geometry.arguments,
        )
        y = run_on_gpu(kernel, [x.astype(kind)], expected.shape)
        np.testing.assert_array_equal(y, expected.astype(kind))


@pytest.mark.torch
@CASES
def test_cpu_kernels_are_torchs_convolution(geometry: Geometry) -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    functional: Any = import_module("torch.nn.functional")
    draw = np.random.default_rng(0)
    weight, x = (draw.standard_normal(one.shape) * (one != 0) for one in numbers(geometry))
    top, left, bottom, right = geometry.padding
    padded = functional.pad(torch.from_numpy(x), (left, right, top, bottom))
    expected = functional.conv2d(
        padded,
        torch.from_numpy(weight.astype(np.float32)).double(),
        stride=geometry.stride,
        dilation=geometry.dilation,
        groups=geometry.groups,
    ).numpy()
    kernel = compile_conv2d(weight, x.shape, target="cpu", **geometry.arguments)
    np.testing.assert_allclose(kernel(x.astype(np.float32)), expected, rtol=1e-4, atol=1e-4)
