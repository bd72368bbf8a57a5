"""The package itself: what importing it costs, and what its wheel holds."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("cuda", "llvmlite", "matplotlib", "numpy", "rich", "safetensors", "scipy", "torch", "xdsl")

IMPORT = """
import sys, time
begin = time.perf_counter()
import sparsert_ir
print(time.perf_counter() - begin)
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_importing_costs_next_to_nothing() -> None:
    """The best of five processes, so that other work on the machine does not count."""
    seconds: list[float] = []
    for _ in range(5):
        command = [sys.executable, "-W", "error", "-c", IMPORT, *HEAVY]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        time, imported = done.stdout.splitlines()
        assert imported == ""
        seconds.append(float(time))
    assert min(seconds) < 0.3


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = directory.glob("*.whl")
    return built


def test_the_wheel_is_pure_python_and_complete(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = ROOT / "src" / "sparsert_ir"
    folders = {"sparsert_ir": source, "sparsert_ir/passes": ROOT / "passes"}
    expected = {
        f"{prefix}/{path.relative_to(folder).as_posix()}"
        for prefix, folder in folders.items()
        for path in folder.rglob("*.py")
    }
    assert "sparsert_ir/passes/unroll_pattern.py" in expected
    data = {
        "sparsert_ir/py.typed",
        "sparsert_ir/viz/page.css",
        "sparsert_ir/native/calls.ll",
    }
    assert held == expected | data


def test_a_wheel_runs_where_there_is_nothing_else_of_the_project(
    wheel: Path, tmp_path: Path
) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = (
        "import numpy as np, sparsert_ir;"
        "assert 'installed' in sparsert_ir.__file__;"
        "kernel = sparsert_ir.compile(np.eye(4), n=2, target='cpu');"
        "assert (kernel(np.ones((4, 2), np.float32)) == 1).all()"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed"), "HOME": str(tmp_path), "PATH": ""},
        check=True,
        timeout=60,
    )
