"""What README.md shows runs, as it is written."""

import re
import sys
from pathlib import Path

import pytest
from documents import ROOT, prepare, read_blocks, run

from sparsert_ir.runtime.device import find_gpu

BLOCKS = read_blocks(ROOT / "README.md")
PYTHON = [block.text for block in BLOCKS if block.language == "python"]
COMMANDS = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
MAKE = [command for command in COMMANDS if command.startswith("make ")]
OTHERS = [command for command in COMMANDS if command not in MAKE]


@pytest.mark.parametrize("text", PYTHON, ids=lambda text: text.splitlines()[0])
def test_python(text: str, tmp_path: Path) -> None:
    if "import torch" in text:
        torch = pytest.importorskip("torch")
        if find_gpu() is None or not torch.cuda.is_available():
            pytest.skip("needs a GPU")
    run([sys.executable, "-W", "error", "-c", text], tmp_path)


@pytest.mark.parametrize("command", OTHERS)
def test_commands(command: str, tmp_path: Path) -> None:
    prepare(tmp_path)
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


def test_the_picture_is_small_and_its_command_makes_one(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    (command,) = re.findall(r"`(sparsert plot .*?)`", text, re.DOTALL)
    prepare(tmp_path)
    run(["sh", "-c", command], tmp_path)
    picture = ROOT / "docs" / "pictures" / "panels.svg"
    made = (tmp_path / "panels.svg").read_text()
    assert picture.stat().st_size < 200_000
    words = re.compile(r"<text[^>]*>(.*?)</text>")
    assert words.findall(made) == words.findall(picture.read_text())
