"""The comparison with peers: complete tables whatever fails, right ratios and means."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_measure import fake_measure_any

import spmm
from machine import Machine
from plan import Ending
from results import CaseResult, PeerResult, geometric_mean, summaries
from schedules import fastest_schedules
from sparsert_ir import Schedule


@pytest.fixture
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("Fake", "sm_90", 132, 1.98, 2**25, 13000, "3", {"torch": "2"})
    monkeypatch.setattr(spmm, "this_machine", lambda: machine)
    monkeypatch.setattr(spmm, "measure_any", fake_measure_any)
    monkeypatch.setattr(spmm, "ending_of", without_assembling)


def without_assembling(_: argparse.Namespace) -> Ending:
    return Ending(assemble=False)


def run_spmm(output: Path, *more: str) -> dict[str, Any]:
    arguments = ["--suite", "shapes", "--only", "0.95/64x64", "--workers", "2"]
    assert spmm.main([*arguments, "--output", str(output), *more]) == 0
    return json.loads(output.with_name(output.name + ".json").read_text())


@pytest.mark.usefixtures("_no_gpu")
def test_a_failing_peer_is_named_and_a_wrong_one_gives_no_ratio(tmp_path: Path) -> None:
    document = run_spmm(tmp_path / "v1.0", "--dtype", "f32")
    (result,) = document["results"]
    assert result["us"] == 64
    assert result["ratios"]["cublas f32"] == 10
    assert result["ratios"]["cublas tf32"] is None
    assert "out of luck" in result["peers"]["cusparse f32"]["reason"]
    assert result["peers"]["gimmik"]["us"] is None
    assert document["bytes_per_second"] == 4e12
    text = (tmp_path / "v1.0.md").read_text()
    assert "640.00 (10.00x)" in text
    assert "~640.00~" in text
    assert "out of luck" in text
    assert "**10.00x** (1; 10.00x)" in text


@pytest.mark.usefixtures("_no_gpu")
def test_tuned_takes_the_fastest_and_survives_dying_candidates(tmp_path: Path) -> None:
    options = ("--dtype", "f32", "--schedule", "tuned", "--candidates", "12")
    (result,) = run_spmm(tmp_path / "a", *options)["results"]
    assert result["us"] == 32
    assert result["model_us"] == 64
    assert result["candidates"] == 13


@pytest.mark.usefixtures("_no_gpu")
def test_a_deadline_ends_the_run(tmp_path: Path) -> None:
    output = ["--suite", "shapes", "--seconds", "0", "--output", str(tmp_path / "a")]
    assert spmm.main(output) == 1


def result_of(us: float, peer_us: float | None, *, ok: bool = True) -> CaseResult:
    return CaseResult(
        label="s/0.9/x/1",
        suite="s",
        sparsity=0.9,
        shape=(2, 2),
        n=1,
        nonzeros=2,
        dtype="f32",
        floor_us=1.0,
        us=us,
        model_us=2 * us,
        candidates=2,
        peers={"p": PeerResult(peer_us, ok=ok)},
    )


def test_means_are_geometric_and_leave_out_what_is_missing_or_wrong() -> None:
    members = [result_of(1, 2), result_of(1, 8), result_of(1, None), result_of(1, 99, ok=False)]
    (summary,) = summaries(members)
    assert summary.cases == 4
    assert summary.ratios["p"] == (pytest.approx(4), 2, 2)
    assert summary.model_ratio == pytest.approx(2)
    (alone,) = summaries([replace(members[0], candidates=1)])
    assert alone.model_ratio is None
    assert geometric_mean([]) is None


def test_the_fastest_right_schedule_of_each_case_is_read_from_a_sweep(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"machine": {}},
        {"label": "a", "dtype": "f32", "schedule": {"threads": 32}, "us": 3.0, "ok": True},
        {"label": "a", "dtype": "f32", "schedule": {"threads": 64}, "us": 2.0, "ok": True},
        {"label": "a", "dtype": "f32", "schedule": {"threads": 96}, "us": 1.0, "ok": False},
        {"label": "a", "dtype": "f32", "schedule": {"threads": 128}, "failure": "x"},
    ]
    file = tmp_path / "sweep.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + '\n{"label": "cut')
    assert fastest_schedules(file) == {("a", "f32"): Schedule(threads=64)}
