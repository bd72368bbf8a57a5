"""The benchmarks that need no GPU and run in seconds: what they count, and their tables."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import calls
import model_error
import row_panels
from sparsert_ir import SparseMatrix
from sparsert_ir.cost_model.gpu import Product, predict_dense_us
from sparsert_ir.cost_model.limits import limits_of


def test_calls_on_a_cpu_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert calls.main(["--seconds", "0.02"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "`kernel(x, out=y)`",
        "`kernel(x)`",
        "`numpy.matmul(weight, x, out=y)`",
        "`scipy CSR @ x`",
    ]
    assert all(0 < float(line.split("|")[2]) < 1e4 for line in lines[2:])


def test_blocks_are_dealt_to_panels_that_share_columns() -> None:
    """Eight groups of four rows in random order, each on four columns of its own."""
    blocks = np.kron(np.eye(8), np.ones((4, 4)))
    matrix = SparseMatrix.of(np.random.default_rng(0).permutation(blocks))
    dealing = row_panels.deal(matrix, 4)
    assert dealing is not None
    assert dealing.balanced == dealing.clustered == 1.0
    assert dealing.loads < 0.5
    assert row_panels.deal(matrix, 32) is None
    assert row_panels.deal(SparseMatrix.of(np.zeros((8, 8))), 4) is None


def test_the_busiest_panel_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    weight = np.zeros((4, 8))
    weight[0], weight[1:, 0] = 1, 1
    dealing = row_panels.deal(SparseMatrix.of(weight), 2)
    assert dealing is not None
    assert dealing.balanced == pytest.approx(9 / 5.5)
    assert row_panels.main(["--only", "0.9/64x64", "--rows", "8"]) == 0
    assert "| shapes | 90% | 8 | 1 | " in capsys.readouterr().out


def test_predictions_are_compared_with_what_was_measured() -> None:
    dense = predict_dense_us(Product((64, 64), 400, 49, "f32"), "f32", limits_of("sm_90"))
    result: dict[str, Any] = {
        "us": 1e9,
        "dtype": "f32",
        "shape": [64, 64],
        "nonzeros": 400,
        "n": 49,
        "schedule": {"rows_per_panel": 4, "lowering": "code"},
        "peers": {"cublas f32": {"us": 2 * dense}, "cublas tf32": {"us": None}},
    }
    found = model_error.pairs_of([result, {"us": None}], "sm_90")
    assert set(found) == {("f32", "sparse, code"), ("f32", "cuBLAS f32")}
    (pair,) = found["f32", "cuBLAS f32"]
    assert (pair.predicted, pair.measured) == (dense, 2 * dense)
    assert not pair.right
    assert model_error.row("f32", "dense", [pair, pair])[2:] == [
        "2",
        "0.50 (0.50, 0.50)",
        "2.00",
        "0 of 2",
    ]


def test_the_recorded_tables_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert model_error.main([]) == 0
    shown = capsys.readouterr().out
    assert "| f32 | cuBLAS tf32 | " in shown
    (tmp_path / "none.json").write_text(json.dumps({"results": []}))
    assert model_error.main([str(tmp_path / "none.json")]) == 0
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.torch
def test_what_surrounds_a_kernel_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    layers: Any = import_module("torch_layers")
    assert layers.main(["--shape", "32x48", "--columns", "1", "8", "--seconds", "0.02"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| 1", "| 8"]
    assert rows[0][1] == "-"
    assert all(len(row) == 6 for row in rows)
