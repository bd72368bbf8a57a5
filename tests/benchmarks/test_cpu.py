"""The CPU benchmark checks, times and reports every contender, in a process per thread count."""

import json
from pathlib import Path

import numpy as np
import pytest

import cpu
from cpu_products import float64_product
from cpu_report import Row, peers_at_their_best
from cpu_timing import check
from sparsert_ir import SparseMatrix


def test_the_report_has_every_case_and_the_means(tmp_path: Path) -> None:
    output = tmp_path / "cpu"
    words = ["0.95/64x64", "tiny/0.9/16x16/1", "64@56 x1 90%"]
    arguments = ["--only", *words, "--seconds", "0.05", "--output", str(output)]
    assert cpu.main([*arguments, "--threads", "1", "2"]) == 0
    found = json.loads((tmp_path / "cpu.json").read_text())
    assert str(tmp_path) not in found["command"]
    suites = ["shapes", "tiny", "tiny", "convolutions"]
    assert [row["suite"] for row in found["rows"]] == 2 * suites
    assert [row["threads"] for row in found["rows"]] == [1] * 4 + [2] * 4
    for row in found["rows"]:
        assert min(row["us"].values()) > 0
        if row["suite"] != "convolutions":
            assert row["us"].keys() >= {"ours", "numpy", "scipy CSR"}
    text = (tmp_path / "cpu.md").read_text()
    assert "| 1 | shapes | 95% | 1 |" in text
    assert "| 2 | tiny | 90% | 2 |" in text
    assert text.count("| shapes/0.95/64x64/3136 |") == 2
    assert text.count("| 64@56 x1 90% |") == 2


def test_nothing_to_measure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="expected a case, got none"):
        cpu.main(["--only", "no such case", "--threads", "1", "--output", str(tmp_path / "cpu")])


def test_the_kernels_of_openblas_are_those_of_the_processes_that_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """threadpoolctl, here one that tells what OpenBLAS is told, must not see what they do not."""
    source = """
import os

def threadpool_info():
    return [{"architecture": os.environ.get("OPENBLAS_CORETYPE", "its own choice")}]
"""
    (tmp_path / "threadpoolctl.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert cpu.openblas_kernels() == "its own choice"


def test_a_wrong_product_is_not_timed() -> None:
    matrix = SparseMatrix.of(np.eye(3, dtype=np.float32))
    x = np.ones((3, 2), np.float32)
    true = float64_product(matrix, x)
    check({"right": lambda: x}, *true)
    for wrong in (x + 1e-3, np.full((3, 2), np.nan, np.float32)):
        with pytest.raises(SystemExit, match="wrong: expected errors within the bound"):
            check({"wrong": lambda wrong=wrong: wrong}, *true)


def test_a_peer_that_is_slower_on_more_threads_has_its_time_on_fewer() -> None:
    def row(threads: int, ours: float, peer: float) -> Row:
        return {"label": "case", "threads": threads, "us": {"ours": ours, "torch": peer}}

    one, two = peers_at_their_best([row(1, 10.0, 50.0), row(2, 12.0, 16_000.0)])
    assert one["us"] == {"ours": 10.0, "torch": 50.0}
    assert two["us"] == {"ours": 12.0, "torch": 50.0}
    assert peers_at_their_best([row(1, 9.0, 80.0), row(2, 5.0, 40.0)])[1]["us"]["torch"] == 40.0
