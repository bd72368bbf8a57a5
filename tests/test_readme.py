"""What README.md shows runs, as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiling import pruned

from sparsert_ir.runtime.device import find_gpu

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", README, re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
MAKE = [command for command in COMMANDS if command.startswith("make ")]
OTHERS = [command for command in COMMANDS if command not in MAKE]


def run(command: list[str], cwd: Path) -> None:
    """Run a command with this environment's programs first; the test fails with what it prints."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", PYTHON, ids=lambda text: text.splitlines()[0])
def test_python(text: str, tmp_path: Path) -> None:
    if "import torch" in text:
        torch = pytest.importorskip("torch")
        if find_gpu() is None or not torch.cuda.is_available():
            pytest.skip("needs a GPU")
    run([sys.executable, "-W", "error", "-c", text], tmp_path)


@pytest.mark.parametrize("command", OTHERS)
def test_commands(command: str, tmp_path: Path) -> None:
    for name in ("examples", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    weight, bias = pruned(24, 32, 0.2), np.arange(24, dtype=np.float32)
    np.savez(tmp_path / "WEIGHTS.npz", weight=weight, bias=bias, n=20)
    run(["sh", "-c", command], tmp_path)


@pytest.mark.parametrize("command", MAKE)
def test_tasks_exist(command: str) -> None:
    """They are not run here: one of them runs these tests."""
    tasks = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command.removeprefix("make ") in tasks


def test_the_first_commands_are_demo_and_test() -> None:
    assert COMMANDS[:2] == ["make demo", "make test"]
    assert len(PYTHON) >= 3


def test_continuous_integration_runs_the_same_tests() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_named_files_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    named = re.findall(r"`([\w.]+/[\w./]*|\w+\.py)`", text) + re.findall(r"\]\((\w+\.md)\)", text)
    places = [ROOT, ROOT / "src/sparsert_ir", ROOT / "examples", ROOT / "benchmarks"]
    made_by_commands = {"out/demo"}
    missing = [
        name
        for name in named
        if name not in made_by_commands and not any((place / name).exists() for place in places)
    ]
    assert named
    assert not missing
