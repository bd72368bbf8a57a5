"""The sweep records every trial, goes on after failures, and resumes."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_measure import fake_measure

import sweep
from machine import Machine


@pytest.fixture
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("Fake", "sm_90", 132, 1.98, 2**25, 13000, "3", {})
    monkeypatch.setattr(sweep, "this_machine", lambda: machine)
    monkeypatch.setattr(sweep, "measure", fake_measure)


def run_sweep(output: Path, *more: str) -> list[dict[str, Any]]:
    arguments = ["--suite", "shapes", "--only", "0.95/64x64", "--assemble", "measurer"]
    arguments += ["--workers", "2", "--output", str(output), *more]
    assert sweep.main(arguments) == 0
    return [json.loads(line) for line in output.read_text().splitlines()]


@pytest.mark.usefixtures("_no_gpu")
def test_sweep_writes_a_row_per_trial_and_survives_dying_measurements(tmp_path: Path) -> None:
    rows = run_sweep(tmp_path / "a.jsonl", "--per-case", "12", "--set", "threads=64,128")
    assert rows[0]["machine"]["gpu"] == "Fake"
    measured = [row for row in rows[1:] if "us" in row]
    failed = [row for row in rows[1:] if "failure" in row]
    assert len(rows) == 13
    assert {row["schedule"]["threads"] for row in measured} == {64}
    assert not [r["failure"] for r in failed if r["schedule"]["threads"] != 128]
    assert all("status 9" in row["failure"] for row in failed)
    assert all(row["us"] == 64 and row["registers"] == 32 and row["ok"] for row in measured)


@pytest.mark.usefixtures("_no_gpu")
def test_sweep_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    output = tmp_path / "a.jsonl"
    first = run_sweep(output, "--per-case", "3", "--set", "threads=64")
    output.write_text(output.read_text() + '{"label": "cut')
    second = run_sweep(
        tmp_path / "b.jsonl", "--per-case", "5", "--set", "threads=64", "--done", str(output)
    )
    tried = [json.dumps(row["schedule"]) for row in [*first, *second] if "schedule" in row]
    assert len(tried) == len(set(tried)) == 5


@pytest.mark.usefixtures("_no_gpu")
def test_sweep_stops_at_its_time_limit(tmp_path: Path) -> None:
    rows = run_sweep(tmp_path / "a.jsonl", "--seconds", "0")
    assert len(rows) == 1


@pytest.mark.usefixtures("_no_gpu")
def test_sweep_refuses_an_unknown_knob(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="rows_per_panel"):
        run_sweep(tmp_path / "a.jsonl", "--set", "height=3")
