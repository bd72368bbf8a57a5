"""`compile(schedule=...)`: a schedule, a record, a path, "tune"; and schedules as JSON."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparsert_ir
from sparsert_ir import Schedule
from sparsert_ir.errors import ArgumentError, ScheduleError, TuningRecordError
from sparsert_ir.frontend import Layer
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.runtime.cache import DIRECTORY_VARIABLE
from sparsert_ir.tuner import TuneOptions, TuningRecord, tune
from sparsert_ir.tuner.stored import kept_record, kept_records


def weight(seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    return random.standard_normal((16, 12)) * (random.random((16, 12)) < 0.4)


def layer() -> Layer:
    return Layer(matrix=SparseMatrix.of(weight()), columns=20)


@pytest.fixture
def record() -> TuningRecord:
    return tune(layer(), "cpu", TuneOptions(count=2, workers=1))


def test_a_record_or_its_path_gives_its_schedule(record: TuningRecord, tmp_path: Path) -> None:
    record.save(tmp_path / "r.json")
    for given in (record, str(tmp_path / "r.json"), tmp_path / "r.json"):
        kernel = sparsert_ir.compile(weight(), n=20, target="cpu", schedule=given)
        assert kernel.schedule == record.schedule


def test_a_record_of_another_layer_is_refused(record: TuningRecord) -> None:
    with pytest.raises(TuningRecordError, match="digest"):
        sparsert_ir.compile(weight(1), n=20, target="cpu", schedule=record)
    with pytest.raises(TuningRecordError, match="n = 21"):
        sparsert_ir.compile(weight(), n=21, target="cpu", schedule=record)
    with pytest.raises(TuningRecordError, match="target"):
        sparsert_ir.compile(weight(), n=20, target="sm_90", schedule=record)


def test_what_is_no_schedule_is_refused(tmp_path: Path) -> None:
    given: Any = 7
    with pytest.raises(ArgumentError, match='"tune"'):
        sparsert_ir.compile(weight(), n=20, target="cpu", schedule=given)
    with pytest.raises(TuningRecordError, match="missing"):
        sparsert_ir.compile(weight(), n=20, target="cpu", schedule=tmp_path / "missing")


def test_tune_measures_once_and_keeps_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "cache"))
    first = sparsert_ir.compile(weight(), n=20, target="cpu", schedule="tune")
    path = kept_record(layer(), "cpu")
    assert path is not None
    kept = TuningRecord.load(path)
    assert kept.schedule == first.schedule
    begun = path.stat().st_mtime_ns
    again = sparsert_ir.compile(weight(), n=20, target="cpu", schedule="tune")
    assert again.schedule == first.schedule
    assert path.stat().st_mtime_ns == begun


def test_convolutions_are_tuned_once_and_take_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    filters = weight().reshape(16, 3, 2, 2)
    given: Any = {"padding": 1, "target": "cpu"}
    first = sparsert_ir.compile_conv2d(filters, (1, 3, 7, 7), schedule="tune", **given)
    (path,) = kept_records()
    begun = path.stat().st_mtime_ns
    again = sparsert_ir.compile_conv2d(filters, (1, 3, 7, 7), schedule="tune", **given)
    assert again.schedule == first.schedule
    assert path.stat().st_mtime_ns == begun
    taken = sparsert_ir.compile_conv2d(filters, (1, 3, 7, 7), schedule=path, **given)
    assert taken.schedule == first.schedule
    with pytest.raises(TuningRecordError, match="n = 25"):
        sparsert_ir.compile_conv2d(filters, (1, 3, 4, 4), schedule=path, **given)


def test_a_damaged_kept_record_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    path = kept_record(layer(), "cpu")
    assert path is not None
    path.parent.mkdir()
    path.write_text("{")
    sparsert_ir.compile(weight(), n=20, target="cpu", schedule="tune")
    assert TuningRecord.load(path).complete


def test_nothing_is_kept_with_the_cache_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, "off")
    assert kept_record(layer(), "cpu") is None


def test_schedules_are_json() -> None:
    schedule = Schedule(rows_per_panel=7, stores="streaming", launch="overlapped")
    assert Schedule.from_json(schedule.to_json()) == schedule
    assert Schedule.from_json('{"threads": 96}') == Schedule(threads=96)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"thread": 1}', '{"threads": 0}', '{"stores": 3}', "[" * 10**5]
)
def test_malformed_schedules_are_refused(text: str) -> None:
    with pytest.raises(ScheduleError, match="schedule"):
        Schedule.from_json(text)
