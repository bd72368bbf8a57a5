"""The commands of docs/command-line.md run, in their order."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from sparsert_ir.cli.main import main
from sparsert_ir.runtime.cache import DIRECTORY_VARIABLE

PAGE = Path(__file__).parents[1] / "docs" / "command-line.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


def test_documented_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    weight = random.standard_normal((24, 16)) * (random.random((24, 16)) < 0.2)
    np.savez("layer.npz", weight=weight, bias=np.arange(24.0), n=20)
    filters = random.standard_normal((8, 16, 3, 3)) * (random.random((8, 16, 3, 3)) < 0.2)
    np.save("filter.npy", filters)
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "sparsert"
        assert main(arguments) == 0, command
        captured = capsys.readouterr()
        assert captured.out
        assert captured.err == ""


def test_every_subcommand_is_documented() -> None:
    named = {shlex.split(command)[1] for command in COMMANDS}
    assert named == {
        "inspect",
        "advise",
        "bench",
        "compile",
        "run",
        "tune",
        "plot",
        "report",
        "doctor",
        "cache",
    }
