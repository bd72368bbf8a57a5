"""A depthwise and a pointwise convolution mean the same at every stage, fused or not."""

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import compile_separable, run_on_gpu
from hypothesis import given
from hypothesis import strategies as st
from ptxas import assemble
from random_convolutions import convolve
from random_layers import CPU_CODE, CPU_DATA, GPU, run, stages
from random_separable import NAME, Example, real_numbers, separables, whole_numbers
from xdsl.parser import Parser
from xdsl.printer import Printer

import sparsert_ir
from sparsert_ir import Schedule, compile_depthwise_separable
from sparsert_ir.context import make_context
from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts, FilterFacts
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.dense import Array
from sparsert_ir.element_types import ROUNDOFF, SMALLEST
from sparsert_ir.errors import ArgumentError, MatrixError, ScheduleError, TuningRecordError
from sparsert_ir.frontend import build_module
from sparsert_ir.pipeline import pipeline_passes, run_passes
from sparsert_ir.schedules.separable import (
    choose_separable,
    default_separable,
    predict_separable_us,
    separable_candidates,
)
from sparsert_ir.separable_compiler import separable_layers
from sparsert_ir.tuner import TuneOptions, TuningRecord, tune
from sparsert_ir.tuner.record import LayerKey
from sparsert_ir.tuner.reference import Reference
from sparsert_ir.window import Window

PIPELINES = pytest.mark.parametrize("pipeline", [GPU, CPU_DATA, CPU_CODE])
FUSING = "sparsert-fuse-depthwise"
KEEP_EVERY_BIT = frozenset(
    [
        "sparsert-partition",
        "sparsert-map-to-gpu",
        "sparsert-map-to-cpu",
        "sparsert-vectorize",
        "sparsert-unroll-pattern",
    ]
)
"""Not the fusing pass: what is between is no longer rounded to the element type of x. Not
`sparsert-pack-pattern`: it deals the nonzeros of long rows to several sums."""


@PIPELINES
@given(data=st.data())
def test_every_stage_is_exact_on_whole_numbers(pipeline: str, data: st.DataObject) -> None:
    example = whole_numbers(data.draw(separables(pipeline)))
    expected = example.expected().astype(example.arguments[0].dtype)
    for stage, module in stages(example.layer, pipeline):
        module.verify()
        y = run(module, NAME, example.arguments)
        np.testing.assert_array_equal(y, expected, err_msg=f"after {stage}", strict=True)
        text = _print(module)
        if stage == FUSING:
            assert text.count("sparsert.separable_conv2d") == 1
            assert "sparsert.conv2d" not in text
        again = Parser(make_context(), text).parse_module()
        assert module.is_structurally_equivalent(again), f"after {stage}"


def _print(module: Any) -> str:
    stream = StringIO()
    Printer(stream).print_op(module)
    return stream.getvalue()


@PIPELINES
@given(data=st.data())
def test_mapping_passes_keep_every_bit(pipeline: str, data: st.DataObject) -> None:
    example = real_numbers(data.draw(separables(pipeline)))
    schedule = example.layer.schedule
    folded = schedule is not None and schedule.accumulation == "folded"
    before: Array | None = None
    for stage, module in stages(example.layer, pipeline):
        y = run(module, NAME, example.arguments)
        # The padded copy of x is in f32 where sums are, which `folded` allows.
        kept = stage in KEEP_EVERY_BIT and not (folded and stage == "sparsert-map-to-cpu")
        if before is not None and kept:
            np.testing.assert_array_equal(_bits(y), _bits(before), err_msg=f"after {stage}")
        before = y


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


@given(data=st.data(), seed=st.integers(1, 2**32 - 1))
def test_result_does_not_depend_on_the_order_of_blocks(data: st.DataObject, seed: int) -> None:
    example = real_numbers(data.draw(separables(GPU)))
    *_, (_, module) = stages(example.layer, GPU)
    ascending = run(module, NAME, example.arguments, order_seed=None)
    shuffled = run(module, NAME, example.arguments, order_seed=seed)
    np.testing.assert_array_equal(_bits(shuffled), _bits(ascending))


@PIPELINES
@given(data=st.data())
def test_a_nan_reaches_what_nonzeros_of_both_filters_carry_it_to(
    pipeline: str, data: st.DataObject
) -> None:
    example = whole_numbers(data.draw(separables(pipeline)))
    marked, reached = _marked(example, data)
    for stage, module in stages(example.layer, pipeline):
        y = run(module, NAME, [marked, *example.arguments[1:]])
        np.testing.assert_array_equal(np.isnan(y), reached, err_msg=f"after {stage}")


def _marked(example: Example, data: st.DataObject) -> tuple[Array, Array]:
    """x with a NaN somewhere, and where the result must be NaN then."""
    window, x = example.case.window, example.arguments[0]
    marked, touched = x.copy(), np.zeros_like(x, np.float64)
    spot = tuple(data.draw(st.integers(0, size - 1)) for size in x.shape)
    marked[spot], touched[spot] = np.nan, 1
    present = (example.depthwise != 0).astype(np.float64)
    between = (convolve(present, touched, window, window.channels) > 0).astype(np.float64)
    present = (example.pointwise != 0).astype(np.float64)[:, :, np.newaxis, np.newaxis]
    return marked, convolve(present, between, example.between(), 1) > 0


@pytest.mark.parametrize("fused", [True, False])
@given(data=st.data())
def test_a_nan_reaches_in_cpu_code_what_nonzeros_of_both_filters_carry_it_to(
    fused: bool, data: st.DataObject
) -> None:
    example = whole_numbers(data.draw(separables(CPU_DATA)))
    marked, reached = _marked(example, data)
    y = compile_separable(example, "cpu", fused=fused)(marked, *example.arguments[1:])
    np.testing.assert_array_equal(np.isnan(y), reached)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("lowering", ["data", "code"])
@given(data=st.data())
def test_cpu_kernels_are_exact_on_whole_numbers(
    fused: bool, lowering: str, data: st.DataObject
) -> None:
    example = whole_numbers(data.draw(separables(CPU_DATA if lowering == "data" else CPU_CODE)))
    kernel = compile_separable(example, "cpu", fused=fused, threads=data.draw(st.integers(1, 3)))
    assert kernel.is_fused == fused
    expected = example.expected().astype(example.arguments[0].dtype)
    np.testing.assert_array_equal(kernel(*example.arguments), expected, strict=True)


@pytest.mark.parametrize("fused", [True, False])
@given(data=st.data())
def test_cpu_kernels_are_within_the_error_bound(fused: bool, data: st.DataObject) -> None:
    """As many roundings as both chains of sums have additions, and a few more."""
    example = real_numbers(data.draw(separables(CPU_DATA)))
    y = compile_separable(example, "cpu", fused=fused)(*example.arguments)
    dtype, depths = example.case.dtype, example.depthwise[0].size + example.pointwise.shape[1]
    bound = 1.1 * (depths + 8) * (ROUNDOFF[dtype] * example.magnitude() + SMALLEST[dtype])
    error = np.abs(y - example.expected())
    assert (error <= bound).all(), f"{(error / bound).max()} times the bound"


@given(data=st.data())
def test_gpu_code_is_the_same_every_time(data: st.DataObject) -> None:
    example = real_numbers(data.draw(separables(GPU)))
    first, second = (compile_separable(example, "sm_90", fused=True).kernels[0] for _ in range(2))
    assert first.ptx == second.ptx


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("fused", [True, False])
@given(data=st.data())
def test_gpu_kernels_are_exact_on_whole_numbers(fused: bool, data: st.DataObject) -> None:
    example = whole_numbers(data.draw(separables(GPU)))
    expected = example.expected().astype(example.arguments[0].dtype)
    kernel = compile_separable(example, None, fused=fused)
    assert kernel.is_fused == fused
    y = run_on_gpu(kernel, example.arguments, expected.shape)
    np.testing.assert_array_equal(y, expected, strict=True)


@pytest.mark.usefixtures("gpu")
@given(data=st.data())
def test_a_nan_reaches_on_a_gpu_what_nonzeros_of_both_filters_carry_it_to(
    data: st.DataObject,
) -> None:
    example = whole_numbers(data.draw(separables(GPU)))
    marked, reached = _marked(example, data)
    arguments = [marked, *example.arguments[1:]]
    y = run_on_gpu(compile_separable(example, None, fused=True), arguments, reached.shape)
    np.testing.assert_array_equal(np.isnan(y), reached)


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90"])
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_the_assembler_takes_kernels_without_spills(
    architecture: str, dtype: Any, tmp_path: Path
) -> None:
    depthwise, pointwise = block(32, 64)
    kernel = compile_depthwise_separable(
        depthwise,
        pointwise,
        (1, 32, 28, 28),
        padding=1,
        depthwise_bias=np.ones(32),
        depthwise_activation="relu",
        bias=np.ones(64),
        activation="relu",
        dtype=dtype,
        target=architecture,
        fused=True,
    ).kernels[0]
    assert assemble(kernel.ptx, architecture, tmp_path).spill_bytes == 0
    assert kernel.stats.nonzeros == np.count_nonzero(depthwise) + np.count_nonzero(pointwise)


def block(channels: int, outputs: int) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    depthwise = random.standard_normal((channels, 1, 3, 3)).astype(np.float32)
    pointwise = random.standard_normal((outputs, channels))
    pointwise *= random.random((outputs, channels)) < 0.1
    return depthwise, pointwise.astype(np.float32)


def test_more_workgroup_memory_than_is_declared_is_asked_for_at_the_launch() -> None:
    depthwise, pointwise = block(512, 64)
    given: Any = {"padding": 1, "fused": True, "target": "sm_90"}
    kernel = compile_depthwise_separable(depthwise, pointwise, (1, 512, 8, 8), **given).kernels[0]
    assert kernel.binary.launch.shared_bytes >= 512 * 32 * 4
    schedule = Schedule(rows_per_panel=64, threads=128)
    with pytest.raises(ScheduleError, match="the depthwise result must fit in 232448 bytes"):
        compile_depthwise_separable(
            depthwise, pointwise, (1, 512, 8, 8), schedule=schedule, **given
        )


def test_too_little_workgroup_memory_names_what_takes_it() -> None:
    depthwise, pointwise = block(512, 64)
    schedule = Schedule(rows_per_panel=32, threads=32, k_groups=14)
    message = r"the depthwise result and partial sums must fit in 49152 bytes .*, got 122880 \("
    with pytest.raises(ScheduleError, match=message):
        compile_depthwise_separable(
            depthwise, pointwise, (1, 512, 8, 8), padding=1, target="sm_90", schedule=schedule
        )


def test_where_no_block_has_room_there_are_two_kernels() -> None:
    window = Window(batch=1, channels=2048, image=(7, 7), kernel=(3, 3), padding=(1, 1, 1, 1))
    facts = ConvolutionFacts(window, 64, 13_000, "f32", FilterFacts(2048, 2048 * 9))
    choice = choose_separable(facts, "sm_80")
    assert not choice.fused
    assert "workgroup memory for 32 columns of 2048 channels" in choice.reason
    with pytest.raises(ScheduleError, match="2048 channels"):
        default_separable(facts, "sm_80")


def test_a_block_as_data_on_a_gpu_is_two_kernels() -> None:
    depthwise, pointwise = block(32, 32)
    given: Any = {"padding": 1, "target": "sm_90", "lowering": "data"}
    made = compile_depthwise_separable(depthwise, pointwise, (1, 32, 14, 14), **given)
    assert [kernel.schedule.lowering for kernel in made.kernels] == ["code", "data"]


def test_one_kernel_for_the_cpu_may_be_code() -> None:
    depthwise, pointwise = block(16, 16)
    given: Any = {"padding": 1, "target": "cpu", "fused": True}
    x = np.arange(16 * 28 * 28, dtype=np.float32).reshape(1, 16, 28, 28) / 1024
    code, data = (
        compile_depthwise_separable(depthwise, pointwise, x.shape, lowering=lowering, **given)(x)
        for lowering in ("code", "data")
    )
    assert np.allclose(code, data, rtol=1e-5, atol=1e-5)


def test_the_schedule_pass_takes_what_the_mapping_pass_allows() -> None:
    """Both know only the memory that every GPU has: of 384 channels 32 columns fit exactly."""

    def compile_text(channels: int) -> None:
        depthwise, pointwise = block(channels, 16)
        layer = separable_layers(depthwise, pointwise, (1, channels, 14, 14), padding=1).both
        for _ in run_passes(build_module(layer), pipeline_passes("sparsert-gpu-pipeline"), context):
            pass

    context = make_context()
    compile_text(384)
    with pytest.raises(ScheduleError, match=r"49152 bytes .* for 32 columns of 385 channels"):
        compile_text(385)


@pytest.mark.parametrize("target", ["cpu", "sm_80", "sm_90"])
def test_the_models_choose_what_they_predict_to_be_faster(target: str) -> None:
    seen: set[bool] = set()
    for channels, side, batch in ((32, 112, 1), (512, 14, 1), (128, 56, 8)):
        depthwise, pointwise = block(channels, channels)
        shape = (batch, channels, side, side)
        given: Any = {"padding": 1, "target": target, "threads": None}
        if target == "cpu":
            given["threads"] = 1
        window = Window(
            batch=batch, channels=channels, image=(side, side), kernel=(3, 3), padding=(1, 1, 1, 1)
        )
        nonzeros = int(np.count_nonzero(pointwise))
        facts = ConvolutionFacts(
            window, channels, nonzeros, "f32", FilterFacts(channels, 9 * channels)
        )
        choice = choose_separable(facts, target)
        first, second = (float(word) for word in choice.reason.split() if word[0].isdigit())
        assert choice.fused == (first < second)
        seen.add(choice.fused)
        if side < 56:
            kernel = compile_depthwise_separable(depthwise, pointwise, shape, **given)
            assert (kernel.is_fused, kernel.reason) == (choice.fused, choice.reason)
            assert kernel.target == target
    assert seen == ({True} if target == "cpu" else {True, False})


@given(data=st.data())
def test_the_default_is_a_candidate_no_slower_than_any(data: st.DataObject) -> None:
    case = data.draw(separables(GPU))
    rows = case.window.channels * case.multiplier
    facts = ConvolutionFacts(case.window, 300, 900, case.dtype, FilterFacts(rows, rows * 3))
    best, candidates = default_separable(facts, "sm_90"), separable_candidates(facts, "sm_90")
    assert best in candidates
    limits = limits_of("sm_90")
    times = [predict_separable_us(one, facts, limits) for one in candidates]
    assert predict_separable_us(best, facts, limits) == min(times)


def test_one_kernel_and_two_compute_the_same_and_say_so() -> None:
    depthwise, pointwise = block(16, 24)
    x = np.random.default_rng(1).standard_normal((2, 16, 9, 10)).astype(np.float32)
    given: Any = {"stride": 2, "padding": 1, "target": "cpu", "depthwise_activation": "relu"}
    one = compile_depthwise_separable(depthwise, pointwise, x.shape, fused=True, **given)
    two = compile_depthwise_separable(depthwise, pointwise, x.shape, fused=False, **given)
    assert (one.is_fused, two.is_fused) == (True, False)
    assert [kernel.name for kernel in two.kernels] == ["separable_depthwise", "separable"]
    np.testing.assert_allclose(one(x), two(x), rtol=1e-5, atol=1e-5)
    y = np.full_like(one(x), np.nan)
    assert two.load()(x, out=y) is y
    assert "as asked for" in repr(one)
    as_filter = pointwise[:, :, np.newaxis, np.newaxis]
    again = compile_depthwise_separable(depthwise, as_filter, x.shape, fused=True, **given)
    np.testing.assert_array_equal(again(x), one(x))


def test_a_stored_kernel_computes_the_same(tmp_path: Path) -> None:
    depthwise, pointwise = block(8, 12)
    x = np.random.default_rng(1).standard_normal((1, 8, 6, 6)).astype(np.float32)
    kernel = compile_depthwise_separable(
        depthwise, pointwise, x.shape, fused=True, target="cpu", threads=2
    )
    kernel.kernels[0].save(tmp_path / "k")
    np.testing.assert_array_equal(sparsert_ir.load(tmp_path / "k")(x), kernel(x))


def test_wrong_arguments_are_refused_with_what_was_expected() -> None:
    depthwise, pointwise = block(8, 12)
    given: dict[str, Any] = {
        "depthwise": depthwise,
        "pointwise": pointwise,
        "input_shape": (1, 8, 6, 6),
        "target": "cpu",
    }
    on_gpu: dict[str, Any] = {"target": "sm_90", "fused": True}
    wrong: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (MatrixError, "depthwise: expected a filter of shape", {"depthwise": pointwise}),
        (MatrixError, "weight: expected a filter of numbers", {"depthwise": [[1], [2, 3]]}),
        (MatrixError, "weight: expected a filter of numbers", {"pointwise": [[1], [2, 3]]}),
        (ArgumentError, "input_shape: expected whole numbers", {"input_shape": (1, np.inf, 6, 6)}),
        (ArgumentError, "fused: expected True, False or None", {"fused": np.ones(2)}),
        (ArgumentError, "layout: expected", {"layout": np.ones(2)}),
        (MatrixError, "pointwise: expected a matrix", {"pointwise": np.ones((3, 8, 3, 3))}),
        (MatrixError, r"pointwise: expected a matrix \(O, 8\)", {"pointwise": np.ones((3, 7))}),
        (ArgumentError, "groups: expected a divisor of the 8", {"input_shape": (1, 3, 6, 6)}),
        (ArgumentError, "fused: expected True, False or None", {"fused": "yes"}),
        (ArgumentError, "bias: expected shape", {"depthwise_bias": np.ones(3)}),
        (
            ScheduleError,
            "cluster means nothing for a depthwise and a pointwise",
            {**on_gpu, "schedule": Schedule(cluster=2)},
        ),
        (
            ScheduleError,
            "expected lowering = code for a depthwise and a pointwise",
            {**on_gpu, "lowering": "data"},
        ),
    ]
    for error, message, changes in wrong:
        with pytest.raises(error, match=message):
            compile_depthwise_separable(**{**given, **changes})


def test_tuning_measures_the_one_kernel(tmp_path: Path) -> None:
    case = separable_layer()
    record = tune(case.layer, "cpu", TuneOptions(count=2, workers=1))
    assert record.complete
    assert not [one.failure for one in record.candidates if one.failure]
    assert all(one.predicted_us for one in record.candidates)
    record.save(tmp_path / "r.json")
    kernel = compile_separable(case, "cpu", fused=True)
    assert kernel.is_fused
    assert TuningRecord.load(tmp_path / "r.json") == record
    key = LayerKey.of(case.layer, "cpu")
    assert case.layer.depthwise is not None
    other = replace(case.layer, depthwise=replace(case.layer.depthwise, activation=None))
    with pytest.raises(TuningRecordError, match="depthwise"):
        key.check(LayerKey.of(other, "cpu"))


def test_candidates_for_a_gpu_build() -> None:
    from sparsert_ir.tuner.measuring import Measured

    record = tune(
        separable_layer().layer,
        "sm_90",
        TuneOptions(count=3, workers=1, measure=lambda _: Measured(1.0)),
    )
    assert not [one.failure for one in record.candidates if one.failure]
    assert all(one.predicted_us for one in record.candidates)


def test_a_wrong_kernel_is_found_out() -> None:
    example = separable_layer()
    reference = Reference.for_inputs(example.layer, example.arguments[0], None)
    np.testing.assert_allclose(reference.y, example.expected())
    wrong = reference.y.astype(np.float32)
    assert reference.explain(wrong) == ""
    wrong[0, 1, 2, 3] += 0.1
    assert "y[0, 1, 2, 3]" in reference.explain(wrong)


def separable_layer() -> Example:
    from random_separable import Case

    window = Window(batch=1, channels=4, image=(9, 8), kernel=(3, 3), padding=(1, 1, 1, 1))
    case = Case(window, 1, 6, 1.0, "f32", (True, "relu"), True, "relu", "none", None, 0)
    return real_numbers(case)
