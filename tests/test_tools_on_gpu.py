"""Tuning, stored kernels and the command line on a real GPU."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparsert_ir
from sparsert_ir.cli.main import main
from sparsert_ir.cli.running import call
from sparsert_ir.frontend import Layer
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.runtime.cache import DIRECTORY_VARIABLE
from sparsert_ir.runtime.device import Gpu
from sparsert_ir.schedule import Schedule
from sparsert_ir.targets import target_of
from sparsert_ir.tuner import TuneOptions, TuningRecord, tune
from sparsert_ir.tuner.reference import Reference

NUMPY = {"f32": np.float32, "f16": np.float16}


def layer(dtype: Any = "f32", **more: Any) -> Layer:
    random = np.random.default_rng(0)
    weight = random.standard_normal((96, 64)) * (random.random((96, 64)) < 0.15)
    return Layer(matrix=SparseMatrix.of(weight, NUMPY[dtype]), columns=100, dtype=dtype, **more)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("residual", ["none", "after"])
def test_tuning_measures_every_candidate(gpu: Gpu, dtype: str, residual: str) -> None:
    one = layer(dtype, activation="relu", bias=np.ones(96, np.float32), residual=residual)
    record = tune(one, target_of(None), TuneOptions(count=6, workers=2))
    assert record.complete
    assert record.device == gpu.name
    assert [found.failure for found in record.candidates] == [""] * 7
    for found in record.candidates:
        assert found.measured_us is not None
        assert 0.3 < found.measured_us < 1000
        assert found.registers > 0
        assert found.code_bytes > 0
    assert record.us == min(found.measured_us or 0 for found in record.candidates)


def test_data_and_code_candidates_compete(gpu: Gpu) -> None:
    candidates = [
        Schedule(rows_per_panel=8),
        Schedule(lowering="data", rows_per_panel=4, threads=128),
    ]
    record = tune(layer(), target_of(None), TuneOptions(candidates=candidates, workers=1))
    assert [one.failure for one in record.candidates] == ["", ""]


@pytest.mark.parametrize("lowering", ["code", "data"])
@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("assembled", [True, False])
def test_a_stored_kernel_computes_the_same_bits(
    gpu: Gpu, tmp_path: Path, lowering: Any, dtype: Any, assembled: bool
) -> None:
    one = layer(dtype)
    kernel = sparsert_ir.compile(one.matrix, n=100, dtype=dtype, lowering=lowering)
    kernel.save(tmp_path / "k.sparsert", assembled=assembled)
    saved = sparsert_ir.load(tmp_path / "k.sparsert")
    assert bool(saved.binary.cubin) == assembled
    assert bool(saved.binary.constants) == (lowering == "data")
    reference = Reference.of(one)
    shape = reference.y.shape
    expected = call(kernel, reference.x, None, shape).y
    found = call(saved, reference.x, None, shape).y
    assert reference.explain(found) == ""
    assert np.array_equal(found, expected)


def test_a_stored_kernel_runs_without_the_compiler(gpu: Gpu, tmp_path: Path) -> None:
    sparsert_ir.compile(np.eye(32) * 3, n=16).save(tmp_path / "k.sparsert")
    script = """
import sys
sys.modules["xdsl"] = sys.modules["llvmlite"] = None
import numpy as np
import sparsert_ir
from sparsert_ir.cli.running import call
kernel = sparsert_ir.load(sys.argv[1])
print(call(kernel, np.ones((32, 16), np.float32), None, (32, 16)).y.sum())
"""
    command = [sys.executable, "-c", script, str(tmp_path / "k.sparsert")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert float(done.stdout) == 3 * 32 * 16


def test_the_command_line_uses_the_gpu(
    gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "cache"))
    np.savez("layer.npz", weight=layer().matrix.to_dense(), n=64)

    def sparsert(*arguments: str) -> Any:
        capsys.readouterr()
        assert main([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert sparsert("doctor")["ok"]
    assert sparsert("run", "layer.npz")["checked"] is True
    assert sparsert("compile", "layer.npz")["target"].startswith("sm_")
    facts = sparsert("inspect", "layer.sparsert")
    assert facts["cubin_arch"] == gpu.arch
    assert facts["code_bytes"] > 0
    assert sparsert("run", "layer.sparsert")["us"] > 0
    tuned = sparsert("tune", "layer.npz", "--candidates", "3", "--workers", "2")
    assert TuningRecord.load("layer.json").us == tuned["us"]
    assert sparsert("bench", "layer.npz", "--schedule", "layer.json")["us"] > 0
    assert sparsert("advise", "layer.npz", "-n", "64")["advice"][0]["sparse_us"] > 0
