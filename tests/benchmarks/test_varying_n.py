"""benchmarks/varying_n.py: both ways are checked and timed."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra: torch); no layers")
pytestmark = pytest.mark.torch
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "varying_n.py"
varying: Any = import_module("varying_n")


def test_the_table_has_a_row_for_each_layer_and_n() -> None:
    command = [sys.executable, "-W", "error", str(SCRIPT), "--shapes", "24x32"]
    done = subprocess.run(
        [*command, "--columns", "1", "20"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [row[:3] for row in rows] == [["| 24 x 32", "1", "16"], ["| 24 x 32", "20", "32"]]


def test_a_kernel_pays_from_the_calls_that_its_compile_time_is_worth() -> None:
    assert varying.Result((8, 8), 4, 0.5, 10.0, 15.0).calls == pytest.approx(100_000)
    assert varying.Result((8, 8), 4, 0.5, 10.0, 9.0).calls is None


def test_wrong_results_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = varying.pruned_linear(8, 8, 0.5)

    def from_linear(*_: Any, **__: Any) -> Any:
        return varying.torch.nn.Linear(8, 8)

    def prepare(*_: Any) -> int:
        return 1

    monkeypatch.setattr(varying.sparse.SparseLinear, "from_linear", from_linear)
    monkeypatch.setattr(varying.sparse, "prepare", prepare)
    with pytest.raises(SystemExit, match="N = 3: wrong by"), varying.torch.inference_mode():
        varying.measure(linear, 3, "cpu", "f32")
