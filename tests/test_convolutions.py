"""Convolutions mean the same at every stage, and compiled code computes what they mean."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from compiling import compile_convolution, run_on_gpu
from hypothesis import given
from hypothesis import strategies as st
from random_convolutions import (
    Example,
    convolutions,
    convolve,
    real_numbers,
    whole_numbers,
    windows,
)
from random_layers import CPU_CODE, CPU_DATA, GPU, GPU_DATA, passes_before_llvm, run, stages
from xdsl.dialects import func
from xdsl.parser import Parser

import sparsert_ir
from sparsert_ir import compile_conv2d
from sparsert_ir.context import make_context
from sparsert_ir.convolution import filter_matrix
from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.cost_model.cpu_convolution import predict_cpu_convolution
from sparsert_ir.cpu.host_threads import available_cores
from sparsert_ir.cpu.image_tiles import ImageTiles, image_tiles
from sparsert_ir.cpu.padding import copied_columns
from sparsert_ir.cpu.row_packing import LONG_ROW
from sparsert_ir.dense import Array
from sparsert_ir.element_types import ROUNDOFF, SMALLEST
from sparsert_ir.errors import ArgumentError, MatrixError, ScheduleError
from sparsert_ir.frontend import Layer
from sparsert_ir.pipeline import run_passes
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.convolution import convolution_threads
from sparsert_ir.schedules.cpu import best_cpu_convolution, cpu_convolution_candidates
from sparsert_ir.window import Window

PIPELINES = pytest.mark.parametrize("pipeline", [GPU, GPU_DATA, CPU_DATA, CPU_CODE])
NAME = "convolution"

KEEP_EVERY_BIT = frozenset(
    [
        "sparsert-import-linalg",
        "sparsert-partition",
        "sparsert-map-to-gpu",
        "sparsert-map-to-cpu",
        "sparsert-vectorize",
        "sparsert-unroll-pattern",
        "sparsert-pack-pattern",
    ]
)


@PIPELINES
@given(data=st.data())
def test_every_stage_is_exact_on_whole_numbers(pipeline: str, data: st.DataObject) -> None:
    example = whole_numbers(data.draw(convolutions(pipeline)))
    expected = example.expected().astype(example.arguments[0].dtype)
    for stage, module in stages(example.layer, pipeline):
        module.verify()
        y = run(module, NAME, example.arguments)
        np.testing.assert_array_equal(y, expected, err_msg=f"after {stage}", strict=True)


@PIPELINES
@given(data=st.data())
def test_mapping_passes_keep_every_bit(pipeline: str, data: st.DataObject) -> None:
    example = real_numbers(data.draw(convolutions(pipeline)))
    before: Array | None = None
    for stage, module in stages(example.layer, pipeline):
        y = run(module, NAME, example.arguments)
        if before is not None and stage in KEEP_EVERY_BIT and not _adds_otherwise(example, stage):
            np.testing.assert_array_equal(_bits(y), _bits(before), err_msg=f"after {stage}")
        before = y


def _adds_otherwise(example: Example, stage: str) -> bool:
    """The padded copy is in f32 where sums are, which `folded` allows; loops over packed nonzeros
    deal those of long rows to several sums.
    """
    schedule, matrix = example.layer.schedule, example.layer.matrix
    if stage == "sparsert-pack-pattern":
        return matrix.nonzeros >= LONG_ROW * matrix.shape[0]
    folded = schedule is not None and schedule.accumulation == "folded"
    return folded and stage == "sparsert-map-to-cpu"


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


@PIPELINES
@given(data=st.data())
def test_what_no_output_pixel_sees_is_never_used(pipeline: str, data: st.DataObject) -> None:
    """A NaN in x reaches exactly the outputs whose window holds it at a nonzero of the filter."""
    example = whole_numbers(data.draw(convolutions(pipeline)))
    marked, reached = _marked(example, data)
    for stage, module in stages(example.layer, pipeline):
        y = run(module, NAME, [marked, *example.arguments[1:]])
        np.testing.assert_array_equal(np.isnan(y), reached, err_msg=f"after {stage}")


def _marked(example: Example, data: st.DataObject) -> tuple[Array, Array]:
    """x with a NaN somewhere, and where the result must be NaN then."""
    x = example.arguments[0]
    marked, touched = x.copy(), np.zeros_like(x, np.float64)
    spot = tuple(data.draw(st.integers(0, size - 1)) for size in x.shape)
    marked[spot], touched[spot] = np.nan, 1
    present = (example.weight != 0).astype(np.float64)
    return marked, convolve(present, touched, example.case.window, example.case.groups) > 0


@pytest.mark.parametrize("pipeline", [CPU_DATA, CPU_CODE])
@given(data=st.data())
def test_what_no_output_pixel_sees_is_never_used_by_cpu_code(
    pipeline: str, data: st.DataObject
) -> None:
    example = whole_numbers(data.draw(convolutions(pipeline)))
    marked, reached = _marked(example, data)
    y = compile_convolution(example, "cpu")(marked, *example.arguments[1:])
    np.testing.assert_array_equal(np.isnan(y), reached)


@pytest.mark.parametrize("lowering", ["data", "code"])
@given(data=st.data())
def test_cpu_code_is_exact_on_whole_numbers(lowering: str, data: st.DataObject) -> None:
    pipeline = CPU_DATA if lowering == "data" else CPU_CODE
    case = data.draw(convolutions(pipeline))
    example = whole_numbers(case)
    kernel = compile_convolution(example, "cpu")
    residual = example.arguments[1] if len(example.arguments) > 1 else None
    y = kernel(example.arguments[0], residual)
    expected = example.expected().astype(example.arguments[0].dtype)
    np.testing.assert_array_equal(y, expected, strict=True)


@given(data=st.data())
def test_cpu_code_is_within_the_error_bound(data: st.DataObject) -> None:
    """(K + 4) roundings of sums that are no larger than those of the absolute values (N. Higham,
    "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1).
    """
    case = data.draw(convolutions(CPU_DATA))
    example = real_numbers(case)
    residual = example.arguments[1] if len(example.arguments) > 1 else None
    y = compile_convolution(example, "cpu")(example.arguments[0], residual)
    error, bound = np.abs(y - example.expected()), _bound(example)
    assert (error <= bound).all(), f"{(error / bound).max()} times the bound"


def _bound(example: Example) -> Array:
    dtype = example.layer.dtype
    roundings = 1.1 * (example.layer.matrix.shape[1] + 4)
    return roundings * (ROUNDOFF[dtype] * example.magnitude() + SMALLEST[dtype])


@given(data=st.data())
def test_gpu_code_is_accepted_and_the_same_every_time(data: st.DataObject) -> None:
    case = data.draw(convolutions(GPU))
    example = real_numbers(case)
    first, second = (compile_convolution(example, "sm_90") for _ in range(2))
    assert first.ptx == second.ptx


ON_GPU = pytest.mark.parametrize("pipeline", [GPU, GPU_DATA])


@pytest.mark.usefixtures("gpu")
@ON_GPU
@given(data=st.data())
def test_gpu_is_exact_on_whole_numbers(pipeline: str, data: st.DataObject) -> None:
    example = whole_numbers(data.draw(convolutions(pipeline)))
    expected = example.expected().astype(example.arguments[0].dtype)
    y = run_on_gpu(compile_convolution(example, None), example.arguments, expected.shape)
    np.testing.assert_array_equal(y, expected, strict=True)


@pytest.mark.usefixtures("gpu")
@ON_GPU
@given(data=st.data())
def test_what_no_output_pixel_sees_is_never_used_on_a_gpu(
    pipeline: str, data: st.DataObject
) -> None:
    example = whole_numbers(data.draw(convolutions(pipeline)))
    marked, reached = _marked(example, data)
    arguments = [marked, *example.arguments[1:]]
    y = run_on_gpu(compile_convolution(example, None), arguments, reached.shape)
    np.testing.assert_array_equal(np.isnan(y), reached)


@given(window=st.data())
def test_window_geometry_is_that_of_its_definition(window: st.DataObject) -> None:
    """Offsets and ranges against index arithmetic on every element of the matrix."""
    w = window.draw(windows(2))
    rows, columns = np.arange(w.depth)[:, np.newaxis], np.arange(w.columns)
    channel, ty, tx = w.taps(rows)
    image, pixel = np.divmod(columns, w.pixels)
    y = pixel // w.output[1] * w.strides[0] + ty * w.dilation[0] - w.padding[0]
    x = pixel % w.output[1] * w.strides[1] + tx * w.dilation[1] - w.padding[1]
    inside = (y >= 0) & (y < w.image[0]) & (x >= 0) & (x < w.image[1])
    np.testing.assert_array_equal(w.inside(rows, columns), inside)
    place = (image, channel, y, x) if w.layout == "nchw" else (image, y, x, channel)
    shape = np.broadcast_shapes(*(np.shape(part) for part in place))
    index = [np.broadcast_to(part, shape)[inside] for part in place]
    expected = np.ravel_multi_index(index, w.array_shape)
    offsets = w.row_offsets(rows) + w.column_offsets(columns)
    np.testing.assert_array_equal(offsets[inside], expected)


@given(data=st.data())
def test_padded_copy_of_each_tile_holds_every_tap_at_its_position(data: st.DataObject) -> None:
    w = data.draw(windows(2))
    tiles = image_tiles(w, data.draw(st.integers(1, 60)))
    copy, x = tiles.copy, np.arange(1, np.prod(w.array_shape) + 1).reshape(w.array_shape)
    for tile in range(tiles.count):
        image, number = divmod(tile, tiles.per_image)
        line = number * tiles.lines
        present = min(tiles.lines, w.output[0] - line)
        elements = _copied(tiles, x, image, line)
        pixels = np.arange(present * w.output[1]) + line * w.output[1] + image * w.pixels
        for k, position in enumerate(copy.positions(np.arange(w.depth)).tolist()):
            taken = elements[position:][: copy.columns]
            seen = np.zeros(tiles.lines * copy.pitch, np.int64)
            seen[: taken.size] = taken
            seen = seen.reshape(tiles.lines, copy.pitch)[:present, : w.output[1]]
            inside = w.inside(k, pixels)
            place = w.row_offsets(k) + w.column_offsets(pixels)
            expected = np.where(inside, x.reshape(-1)[np.where(inside, place, 0)], 0)
            np.testing.assert_array_equal(seen.reshape(-1), expected)


def _copied(tiles: ImageTiles, x: Array, image: int, line: int) -> Array:
    """The copy of the tile that begins at that line."""
    w, copy = tiles.window, tiles.copy
    images = x if w.layout == "nchw" else x.transpose(0, 3, 1, 2)
    planes = (copy.down.phases.size, copy.right.phases.size)
    flat = np.zeros((w.channels, *planes, copy.down.size, copy.right.size), np.int64)
    for i, down in enumerate(copy.down.phases.tolist()):
        y = (line + np.arange(copy.down.size)) * w.strides[0] + down - w.padding[0]
        rows = np.flatnonzero((y >= 0) & (y < w.image[0]))
        for j, right in enumerate(copy.right.phases.tolist()):
            columns = np.arange(*copied_columns(w, right, copy.right.size))
            source = columns * w.strides[1] + right - w.padding[1]
            flat[:, i, j, rows[:, np.newaxis], columns] = images[image][
                :, y[rows][:, np.newaxis], source
            ]
    return flat.reshape(-1)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@PIPELINES
def test_linalg_convolution_means_the_same_at_every_stage(pipeline: str, layout: str) -> None:
    text = (Path(__file__).parent / f"filecheck/passes/import_linalg_{layout}.mlir").read_text()
    random = np.random.default_rng(0)
    context = make_context()
    module = Parser(context, text).parse_module()
    for function in list(module.body.block.ops):
        if cast(func.FuncOp, function).sym_name.data != NAME:
            function.detach()
    shape = (2, 2, 5, 6) if layout == "nchw" else (2, 5, 6, 2)
    results = (2, 3, 3, 5) if layout == "nchw" else (2, 3, 5, 3)
    x = random.integers(-3, 4, shape).astype(np.float32)
    residual = random.integers(-3, 4, results).astype(np.float32)
    expected = run(module, NAME, [x, residual])
    assert np.isfinite(expected).all()
    assert (expected != 0).any()
    for record in run_passes(module, passes_before_llvm(pipeline), context):
        y = run(module, NAME, [x, residual])
        np.testing.assert_array_equal(y, expected, err_msg=f"after {record.name}")


def test_wrong_arguments_are_refused_with_what_was_expected() -> None:
    weight = np.ones((4, 3, 3, 3))
    for message, changes in {
        "strides must be 2 whole numbers of 1": {"stride": 0},
        "stride: expected whole numbers, 1 or 2": {"stride": (1, 2, 3)},
        "padding: expected whole numbers, 1 or 2 or 4": {"padding": (1, 2, 3)},
        "padding must be 4 whole numbers of 0": {"padding": -1},
        "fits into the padded image": {"dilation": 9},
        "groups: expected a divisor of the 4": {"groups": 3},
        "input_shape: expected 6 channels, got 3": {"groups": 2},
        "layout: expected": {"layout": "CHWN"},
        "input_shape: expected whole numbers, 4": {"input_shape": (3, 8, 8)},
    }.items():
        arguments: dict[str, Any] = {"input_shape": (1, 3, 8, 8), "target": "cpu", **changes}
        with pytest.raises(ArgumentError, match=message):
            compile_conv2d(weight, **arguments)
    with pytest.raises(MatrixError, match="expected a filter of numbers"):
        compile_conv2d(np.ones((4, 3)), (1, 3, 8, 8), target="cpu")
    with pytest.raises(MatrixError, match="finite"):
        compile_conv2d(np.full((1, 1, 1, 1), np.nan), (1, 1, 2, 2), target="cpu")


@given(height=st.integers(1, 40), width=st.integers(1, 40), columns=st.integers(1, 300))
def test_tiles_are_whole_lines_of_about_equal_number(height: int, width: int, columns: int) -> None:
    window = Window(batch=2, channels=1, image=(height, width), kernel=(3, 3), padding=(1, 1, 1, 1))
    tiles = image_tiles(window, columns)
    assert (tiles.per_image - 1) * tiles.lines < height <= tiles.per_image * tiles.lines
    assert tiles.lines == 1 or tiles.copy.columns <= columns
    assert tiles.count == 2 * tiles.per_image
    assert tiles.lane(columns) <= min(columns, tiles.copy.columns)


@pytest.mark.parametrize("lowering", ["data", "code"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_threads_change_no_bit_of_a_convolution(lowering: Any, layout: Any) -> None:
    """Parts of tiles and of panels: more threads than there are tiles, too."""
    random = np.random.default_rng(0)
    weight = random.standard_normal((9, 5, 3, 3)) * (random.random((9, 5, 3, 3)) < 0.5)
    shape = (2, 5, 11, 9) if layout == "NCHW" else (2, 11, 9, 5)
    result = (2, 9, 6, 9) if layout == "NCHW" else (2, 6, 9, 9)
    x = random.standard_normal(shape).astype(np.float32)
    residual = random.standard_normal(result).astype(np.float32)
    schedule = Schedule(lowering=lowering, rows_per_panel=2, columns_per_thread=32)
    results: list[bytes] = []
    for threads in (1, 2, 3, 50):
        kernel = compile_conv2d(
            weight,
            shape,
            stride=(2, 1),
            padding=1,
            layout=layout,
            bias=np.arange(9),
            activation="relu",
            residual=True,
            target="cpu",
            schedule=schedule,
            threads=threads,
        )
        assert kernel.threads == threads
        for _ in range(10):
            y = np.full(result, np.nan, np.float32)
            results.append(kernel(x, residual, out=y).tobytes())
    assert set(results) == {results[0]}
    assert not np.isnan(np.frombuffer(results[0], np.float32)).any()


def test_threads_of_a_convolution_are_chosen_and_checked() -> None:
    few = compile_conv2d(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), target="cpu")
    assert few.threads == 1
    with pytest.raises(ArgumentError, match="threads: expected a whole number from 1"):
        compile_conv2d(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), target="cpu", threads=0)
    with pytest.raises(ArgumentError, match="threads: expected None for target sm_80"):
        compile_conv2d(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), target="sm_80", threads=2)
    window = Window(batch=8, channels=64, image=(56, 56), kernel=(3, 3), padding=(1, 1, 1, 1))
    facts = ConvolutionFacts(window, 64, 30_000)
    assert convolution_threads(facts, best_cpu_convolution(facts)) == available_cores()


@given(data=st.data())
def test_the_model_of_a_cpu_chooses_a_candidate_no_slower_than_any(data: st.DataObject) -> None:
    window = data.draw(windows(3))
    facts = ConvolutionFacts(window, data.draw(st.integers(1, 99)), data.draw(st.integers(0, 999)))
    best = best_cpu_convolution(facts)
    candidates = cpu_convolution_candidates(facts)
    assert best in candidates
    fastest = min(predict_cpu_convolution(facts, one) for one in candidates)
    assert predict_cpu_convolution(facts, best) == fastest
    more = replace(facts, nonzeros=facts.nonzeros + 1000)
    assert predict_cpu_convolution(more, best) > fastest
    with pytest.raises(ScheduleError, match='only lowering = "data" is modelled'):
        predict_cpu_convolution(facts, Schedule())


def test_threads_must_share_the_columns_of_a_tile_evenly() -> None:
    schedule = Schedule(
        lowering="data", rows_per_panel=2, columns_per_thread=16, column_groups=16, threads=32
    )
    with pytest.raises(ScheduleError, match="multiple of columns_per_thread"):
        compile_conv2d(np.ones((1, 1, 3, 3)), (1, 1, 3, 3), target="sm_80", schedule=schedule)


def test_a_large_filter_becomes_data_on_a_gpu() -> None:
    random = np.random.default_rng(0)
    weight = random.standard_normal((256, 256, 3, 3)) * (random.random((256, 256, 3, 3)) < 0.2)
    kernel = compile_conv2d(weight, (1, 256, 7, 7), padding=1, target="sm_90")
    assert kernel.schedule.lowering == "data"
    assert kernel.stats.packed_bytes > 4 * np.count_nonzero(weight)
    assert kernel.block == (512, 1, 1)


def test_a_pointwise_convolution_is_the_code_of_a_product() -> None:
    """1x1, no strides, no padding, one image: the same work as `compile`'s, and no divisions."""
    random = np.random.default_rng(0)
    weight = random.standard_normal((8, 16)) * (random.random((8, 16)) < 0.3)
    filters = weight[:, :, np.newaxis, np.newaxis]
    convolution = compile_conv2d(filters, (1, 16, 4, 6), target="sm_80")
    product = sparsert_ir.compile(weight, 24, target="sm_80", schedule=convolution.schedule)
    for instruction in ("fma.rn.f32", "ld.global", "st.global", "st.shared", "bar.sync"):
        assert convolution.ptx.count(instruction) == product.ptx.count(instruction)
    assert not re.search(r"\b(div|rem)\.", convolution.ptx)


def test_groups_are_blocks_of_the_matrix() -> None:
    weight = np.arange(1, 9).reshape(4, 2, 1, 1)
    matrix, kernel = filter_matrix(weight, 2, np.float32)
    assert kernel == (1, 1)
    expected = [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 5, 6], [0, 0, 7, 8]]
    np.testing.assert_array_equal(matrix.to_dense(), expected)


def test_a_tap_that_is_always_inside_has_no_guard() -> None:
    """Interior taps are plain loads; only those that the padding can push outside are guarded."""
    weight = np.zeros((1, 1, 3, 3))
    weight[0, 0, 1, 1] = 1
    kernel = compile_conv2d(weight, (1, 1, 5, 5), padding=1, target="sm_80")
    assert "asm" not in kernel.llvm_ir
    weight[0, 0, 0, 0] = 1
    kernel = compile_conv2d(weight, (1, 1, 5, 5), padding=1, target="sm_80")
    assert kernel.llvm_ir.count("asm") == 1


@pytest.mark.parametrize("lowering", ["data", "code"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(
    ("length", "stride", "padding"),
    [(1024, 1, 1), (1025, 2, 0), (4097, 1, 1500), (6000, 3, 7), (9000, 17, 1)],
)
def test_long_lines_are_copied_by_loops(
    length: int, stride: int, padding: int, layout: Any, lowering: Any
) -> None:
    """A signal of one dimension, on a CPU: the code does not grow with its length."""
    shape = (2, 3, 1, length) if layout == "nchw" else (2, 1, length, 3)
    weight = np.arange(-4, 5, dtype=np.float32).reshape(1, 3, 1, 3)
    kernel = compile_conv2d(
        weight,
        shape,
        stride=(1, stride),
        padding=(0, padding),
        layout="NCHW" if layout == "nchw" else "NHWC",
        target="cpu",
        lowering=lowering,
    )
    x = np.random.default_rng(0).integers(-3, 4, shape).astype(np.float32)
    window = Window(
        batch=2,
        channels=3,
        image=(1, length),
        kernel=(1, 3),
        strides=(1, stride),
        padding=(0, padding, 0, padding),
        layout=layout,
    )
    np.testing.assert_array_equal(kernel(x), convolve(weight, x, window, 1))
    assert len(kernel.llvm_ir) < 400_000


@pytest.mark.parametrize("lowering", ["data", "code"])
def test_lanes_of_a_cpu_that_are_too_wide_are_refused(lowering: Any) -> None:
    schedule = Schedule(lowering=lowering, rows_per_panel=1, columns_per_thread=5000)
    with pytest.raises(ScheduleError, match="columns_per_thread must be at most 4096"):
        compile_conv2d(np.ones((1, 1, 1, 3)), (1, 1, 1, 6000), target="cpu", schedule=schedule)
    with pytest.raises(ScheduleError, match="columns_per_thread must be at most 4096"):
        sparsert_ir.compile(np.eye(8), 6000, target="cpu", schedule=schedule)


@given(window=st.data())
def test_exactly_the_taps_that_may_be_outside_are_guarded(window: st.DataObject) -> None:
    """In GPU code, by the definition of the window for every one of its columns."""
    w = window.draw(windows(2))
    kernel = compile_conv2d(
        np.ones((1, 2, *w.kernel)),
        w.array_shape,
        stride=w.strides,
        padding=w.padding,
        dilation=w.dilation,
        layout="NCHW" if w.layout == "nchw" else "NHWC",
        target="sm_80",
        schedule=Schedule(rows_per_panel=1),
    )
    inside = w.inside(np.arange(w.depth)[:, np.newaxis], np.arange(w.columns))
    guarded = kernel.llvm_ir.count("asm")
    assert guarded == np.count_nonzero(~inside.all(axis=1))


@pytest.mark.parametrize("padding", [(0, 2, 0, 0), (0, 0, 0, 2), (0, 1, 0, 1)])
def test_a_window_of_one_pixel_keeps_its_guards(padding: tuple[int, ...]) -> None:
    kernel = compile_conv2d(np.ones((1, 1, 1, 3)), (1, 1, 1, 1), padding=padding, target="sm_80")
    assert kernel.n == 1
    assert kernel.llvm_ir.count("asm") == 2


def test_the_layer_of_a_module_is_that_of_the_arrays() -> None:
    window = Window(batch=1, channels=1, image=(2, 2))
    layer = Layer(
        matrix=filter_matrix(np.ones((1, 1, 1, 1)), 1, np.float32)[0],
        columns=window.columns,
        window=window,
        name=NAME,
    )
    for stage, module in stages(layer, CPU_DATA):
        x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
        np.testing.assert_array_equal(run(module, NAME, [x]), x, err_msg=stage)
