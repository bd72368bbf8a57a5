"""The commands of docs/command-line.md run, in their order."""

import json
import re
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from sparsert_ir import progress
from sparsert_ir.cli.main import main
from sparsert_ir.runtime.cache import DIRECTORY_VARIABLE

PAGE = Path(__file__).parents[1] / "docs" / "command-line.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


NOTHING_LONG = {"cache", "doctor"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page's commands are about, in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    weight = random.standard_normal((24, 16)) * (random.random((24, 16)) < 0.2)
    np.savez("layer.npz", weight=weight, bias=np.arange(24.0), n=20)
    filters = random.standard_normal((8, 16, 3, 3)) * (random.random((8, 16, 3, 3)) < 0.2)
    np.save("filter.npy", filters)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("as_json", [False, True])
def test_documented_commands_run(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Each prints a table or text, or with --json one document."""
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "sparsert"
        assert main([*arguments, "--json"] if as_json else arguments) == 0, command
        captured = capsys.readouterr()
        assert captured.out
        assert captured.err == ""
        if as_json:
            assert isinstance(json.loads(captured.out), dict), command


@pytest.mark.usefixtures("files", "capsys")
def test_whatever_may_take_long_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []

    @contextmanager
    def bar(title: str) -> Generator[None]:
        titles.append(title)
        yield

    monkeypatch.setattr(progress, "waiting_bar", bar)
    for command in COMMANDS:
        arguments = shlex.split(command)[1:]
        titles.clear()
        assert main(arguments) == 0
        assert bool(titles) == (arguments[0] not in NOTHING_LONG), command


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
