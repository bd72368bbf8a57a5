"""The tuner finds the fastest working candidate, whatever fails, and leaves nothing behind."""

import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest

import sparsert_ir
from sparsert_ir.convolution import filter_matrix
from sparsert_ir.element_types import DTYPES, numpy_type
from sparsert_ir.errors import ArgumentError, TuningError, TuningRecordError
from sparsert_ir.frontend import Layer
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule
from sparsert_ir.tuner import TuneOptions, TuningRecord, TuningWarning, matrix_digest, tune
from sparsert_ir.tuner.measuring import Measured
from sparsert_ir.tuner.record import LayerKey
from sparsert_ir.tuner.reference import Reference
from sparsert_ir.window import Window

CANDIDATES = [Schedule(threads=threads) for threads in (32, 64, 96, 128)]


def small_matrix(seed: int = 0) -> SparseMatrix:
    random = np.random.default_rng(seed)
    return SparseMatrix.of(random.standard_normal((24, 16)) * (random.random((24, 16)) < 0.3))


@pytest.fixture
def layer() -> Layer:
    return Layer(matrix=small_matrix(), columns=40)


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """Tests before these may have started Python's own resource tracker, which stays."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert not set(psutil.Process().children(recursive=True)) - before


def threads_as_us(binary: KernelBinary) -> Measured:
    return Measured(float(binary.launch.block[0]), registers=32)


def options(**more: Any) -> TuneOptions:
    defaults: dict[str, Any] = {"candidates": CANDIDATES, "workers": 2, "measure": threads_as_us}
    return TuneOptions(**{**defaults, **more})


def test_the_fastest_candidate_wins_and_all_are_reported(layer: Layer) -> None:
    record = tune(layer, "sm_90", options())
    assert record.schedule == Schedule(threads=32)
    assert record.us == 32
    assert record.complete
    tried = {one.schedule: one for one in record.candidates}
    assert set(tried) == set(CANDIDATES)
    assert all(one.predicted_us and one.predicted_us > 0 for one in record.candidates)
    assert tried[CANDIDATES[1]].measured_us == 64
    assert tried[CANDIDATES[1]].registers == 32
    assert tried[CANDIDATES[1]].build_seconds > 0


def test_a_candidate_that_cannot_be_built_is_reported(layer: Layer) -> None:
    illegal = Schedule(threads=1024, k_groups=16)
    record = tune(layer, "sm_90", options(candidates=[illegal, *CANDIDATES]))
    (failed,) = [one for one in record.candidates if one.failure]
    assert failed.schedule == illegal
    assert "1024" in failed.failure
    assert failed.measured_us is None
    assert record.us == 32


def test_a_candidate_that_cannot_be_measured_does_not_win(layer: Layer) -> None:
    def measure(binary: KernelBinary) -> Measured:
        if binary.launch.block[0] == 32:
            raise RuntimeError("launch failed")
        return threads_as_us(binary)

    record = tune(layer, "sm_90", options(measure=measure))
    assert record.us == 64
    assert [one.failure for one in record.candidates if one.failure] == [
        "RuntimeError: launch failed"
    ]


def test_no_working_candidate_is_an_error_with_the_first_reason(layer: Layer) -> None:
    def measure(_: KernelBinary) -> Measured:
        raise RuntimeError("out of luck")

    with pytest.raises(TuningError, match="out of luck"):
        tune(layer, "sm_90", options(measure=measure))
    with pytest.raises(ArgumentError, match="one candidate"):
        options(candidates=[])


def test_a_killed_worker_costs_its_candidate_alone(layer: Layer) -> None:
    before = set(psutil.Process().children())

    def kill_builders() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            children = [one for one in psutil.Process().children() if one not in before]
            if children:
                children[0].kill()
                return
            time.sleep(0.001)

    killer = threading.Thread(target=kill_builders)
    killer.start()
    record = tune(layer, "sm_90", options(workers=1))
    killer.join()
    failed = [one for one in record.candidates if one.failure]
    assert len(failed) == 1
    assert "status -9" in failed[0].failure
    assert len(record.candidates) == 4


def test_an_interrupt_keeps_the_best_so_far(layer: Layer, tmp_path: Path) -> None:
    measured: list[float] = []

    def measure(binary: KernelBinary) -> Measured:
        if measured:
            raise KeyboardInterrupt
        measured.append(1)
        return threads_as_us(binary)

    store = tmp_path / "record.json"
    with pytest.warns(TuningWarning, match="1 of 4"):
        record = tune(layer, "sm_90", options(measure=measure, store=store))
    assert not record.complete
    assert len(record.candidates) == 1
    assert TuningRecord.load(store) == record


def test_an_interrupt_before_any_result_is_passed_on(layer: Layer) -> None:
    def measure(_: KernelBinary) -> Measured:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(layer, "sm_90", options(measure=measure))


def test_ctrl_c_in_a_terminal_ends_the_run_with_its_processes(tmp_path: Path) -> None:
    script = """
import sys, time
import numpy as np
from sparsert_ir.frontend import Layer
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule
from sparsert_ir.tuner import TuneOptions, tune
from sparsert_ir.tuner.measuring import Measured

def measure(binary):
    print("measuring", flush=True)
    time.sleep(0.2)
    return Measured(float(binary.launch.block[0]))

layer = Layer(matrix=SparseMatrix.of(np.eye(16)), columns=40)
many = [Schedule(threads=32 * (1 + i % 8), rows_per_panel=1 + i // 8) for i in range(200)]
options = TuneOptions(candidates=many, workers=2, measure=measure, store=sys.argv[1])
print(tune(layer, "sm_90", options).complete)
"""
    store = tmp_path / "record.json"
    command = [sys.executable, "-W", "ignore", "-c", script, str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"measuring\n"
        assert process.stdout.readline() == b"measuring\n"
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, 2)
        rest, _ = process.communicate(timeout=30)
    assert rest.splitlines()[-1] == b"False"
    assert process.returncode == 0
    assert children
    assert not [child for child in children if child.is_running()]
    assert not TuningRecord.load(store).complete


def test_a_time_limit_ends_the_run(layer: Layer) -> None:
    def slow(binary: KernelBinary) -> Measured:
        time.sleep(2)
        return threads_as_us(binary)

    with pytest.warns(TuningWarning, match="ended early"):
        record = tune(layer, "sm_90", options(measure=slow, seconds=3.0))
    assert not record.complete


def test_a_record_that_cannot_be_stored_is_still_returned(
    layer: Layer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparsert_ir.files.os.fsync", full)
    store = tmp_path / "record.json"
    store.write_text("old")
    with pytest.warns(TuningWarning, match="No space left"):
        record = tune(layer, "sm_90", options(store=store))
    assert record.us == 32
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
    assert store.read_text() == "old"


def test_the_model_chooses_candidates_and_the_compiler_adds_its_own(layer: Layer) -> None:
    record = tune(layer, "sm_90", TuneOptions(count=3, workers=2, measure=threads_as_us))
    own = sparsert_ir.compile(layer.matrix, layer.columns, target="sm_90").schedule
    tried = {one.schedule for one in record.candidates}
    assert len(record.candidates) == len(tried) == 4
    assert own in tried


@pytest.mark.parametrize("residual", ["none", "before", "after"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tuning_for_the_processor_is_real(dtype: Any, residual: Any) -> None:
    bias = np.arange(24, dtype=np.float32)
    matrix = small_matrix().astype(numpy_type(dtype))
    one = Layer(
        matrix=matrix, columns=40, bias=bias, activation="relu", residual=residual, dtype=dtype
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = tune(one, "cpu", TuneOptions(count=5, workers=2))
    assert record.complete
    assert not [one.failure for one in record.candidates if one.failure]
    assert record.us > 0
    assert record.us == min(one.measured_us or 0 for one in record.candidates)
    # For 40 columns the model knows a few schedules, and the compiler's own is one of them.
    assert len({one.schedule for one in record.candidates}) == len(record.candidates) > 1


def small_convolution(layout: str = "nchw", **more: Any) -> Layer:
    random = np.random.default_rng(0)
    weight = random.standard_normal((12, 2, 3, 3)) * (random.random((12, 2, 3, 3)) < 0.4)
    window = Window(
        batch=2,
        channels=4,
        image=(9, 8),
        kernel=(3, 3),
        strides=(2, 1),
        padding=(1, 0, 1, 2),
        layout=cast(Any, layout),
    )
    element = {"f32": np.float32, "f16": np.float16}[more.get("dtype", "f32")]
    matrix = filter_matrix(weight, 2, element)[0]
    return Layer(matrix=matrix, columns=window.columns, window=window, **more)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_tuning_a_convolution_for_the_processor_is_real(dtype: Any, layout: str) -> None:
    bias = np.arange(12, dtype=np.float32)
    one = small_convolution(layout, bias=bias, activation="relu", residual="before", dtype=dtype)
    record = tune(one, "cpu", TuneOptions(count=3, workers=1))
    assert record.complete
    assert not [one.failure for one in record.candidates if one.failure]
    assert len({one.schedule for one in record.candidates}) == len(record.candidates) >= 2
    assert all(one.predicted_us for one in record.candidates)
    assert TuningRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_candidates_of_a_convolution_for_a_gpu_all_build(dtype: Any) -> None:
    one = small_convolution(dtype=dtype)
    record = tune(one, "sm_90", TuneOptions(count=8, workers=2, measure=threads_as_us))
    assert not [one.failure for one in record.candidates if one.failure]
    assert {one.schedule.lowering for one in record.candidates if one.schedule} == {"code", "data"}
    assert len(record.candidates) >= 8


def test_a_record_of_a_convolution_is_for_its_window() -> None:
    one = small_convolution()
    assert one.window is not None
    key = LayerKey.of(one, "cpu")
    key.check(LayerKey.of(small_convolution(), "cpu"))
    other = replace(one, window=replace(one.window, padding=(0, 1, 2, 1)))
    with pytest.raises(TuningRecordError, match="window = Window"):
        key.check(LayerKey.of(other, "cpu"))
    with pytest.raises(TuningRecordError, match="window = None"):
        key.check(LayerKey.of(replace(one, window=None), "cpu"))


def test_a_wrong_convolution_is_found_out() -> None:
    reference = Reference.of(small_convolution("nhwc", activation="relu"))
    right = reference.y.astype(np.float32)
    assert reference.explain(right) == ""
    right[1, 2, 3, 4] += 0.01
    assert "y[1, 2, 3, 4]" in reference.explain(right)


def test_a_wrong_kernel_is_found_out(layer: Layer) -> None:
    reference = Reference.of(layer)
    right = reference.y.astype(np.float32)
    assert reference.explain(right) == ""
    wrong = right.copy()
    wrong[3, 5] += 0.01
    assert "y[3, 5]" in reference.explain(wrong)
    wrong[7, 1] = np.nan
    assert "y[7, 1] = nan" in reference.explain(wrong)
    unbounded = replace(reference, y=np.where(np.eye(*right.shape) > 0, np.inf, reference.y))
    assert unbounded.explain(unbounded.y) == ""
    assert "y[0, 0]" in unbounded.explain(-unbounded.y)
    assert "y[0, 0] = 1, expected inf" in unbounded.explain(
        np.where(np.eye(*right.shape), 1, right)
    )


def test_a_record_survives_json(layer: Layer) -> None:
    record = tune(layer, "sm_90", options(candidates=[*CANDIDATES, Schedule(threads=4096)]))
    assert TuningRecord.from_json(record.to_json()) == record


def test_a_record_is_for_one_layer(layer: Layer) -> None:
    key = LayerKey.of(layer, "sm_90")
    key.check(LayerKey.of(layer, "sm_90"))
    others = {
        "digest": replace(layer, matrix=small_matrix(1)),
        "n": replace(layer, columns=41),
        "bias": replace(layer, bias=np.zeros(24, np.float32)),
        "residual": replace(layer, residual="after"),
    }
    for name, other in others.items():
        with pytest.raises(TuningRecordError, match=name):
            key.check(LayerKey.of(other, "sm_90"))
    with pytest.raises(TuningRecordError, match="target"):
        key.check(LayerKey.of(layer, "sm_80"))


def test_the_digest_tells_matrices_apart() -> None:
    matrix = small_matrix()
    same = SparseMatrix.of(matrix.to_dense())
    assert matrix_digest(matrix) == matrix_digest(same)
    values = matrix.values.copy()
    values[-1] *= 2
    different = [
        replace(matrix, values=values),
        replace(matrix, shape=(24, 17)),
        matrix.astype(np.float16),
    ]
    digests = {matrix_digest(one) for one in [matrix, *different]}
    assert len(digests) == 4


def malformed_records() -> dict[str, str]:
    layer = Layer(matrix=small_matrix(), columns=40)
    good = json.loads(tune(layer, "sm_90", options(candidates=CANDIDATES[:1])).to_json())
    changes: dict[str, Any] = {
        "kind": "other",
        "schema": 99,
        "schedule": {"threads": -1},
        "candidates": [{"nonsense": 1}],
        "layer": None,
        "us": "fast",
        "complete": 3,
        "versions": 7,
    }
    texts = {name: json.dumps(good | {name: value}) for name, value in changes.items()}
    missing = {f"no {name}": json.dumps({k: v for k, v in good.items() if k != name})
               for name in good}  # fmt: skip
    return (
        texts
        | missing
        | {"empty": "", "list": "[]", "deep": "[" * 100_000, "cut": "{", "digits": "9" * 5000}
    )


def test_malformed_records_are_refused() -> None:
    for name, text in malformed_records().items():
        with pytest.raises(TuningRecordError, match="tuning record"):
            pytest.fail(f"{name}: {TuningRecord.from_json(text)}")


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    for name, content in {"a": b"\xff\xfe", "b": b"x" * (17 * 2**20), "c": b"{}"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TuningRecordError, match=name):
            TuningRecord.load(tmp_path / name)
    with pytest.raises(TuningRecordError, match="missing"):
        TuningRecord.load(tmp_path / "missing")
