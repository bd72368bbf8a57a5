"""Runs what a page shows: its commands, its Python, and the output that it says they have.

    python tests/documents.py docs/PAGE.md

writes what they print now into the page, wherever it shows output without "...".
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from compiling import pruned

ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^```(\w+)(?: title=\"(.+?)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LANGUAGES_OF_CODE = ("python", "sh")


@dataclass(frozen=True)
class Block:
    """A fenced block: `sh` and `python` run; one of any language with a `title` is stored.

    output: of the command or commands, when the next block shows it; "..." stands for any lines.
    """

    language: str
    text: str
    title: str | None = None
    output: str | None = None


def read_blocks(page: Path) -> list[Block]:
    """The blocks of a page that run or are stored."""
    text = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    return [
        Block(fence[1], fence[3], fence[2], _output(text, found[number : number + 2]))
        for number, fence in enumerate(found)
        if fence[1] in _LANGUAGES_OF_CODE or fence[2] is not None
    ]


def _output(text: str, fences: list[re.Match[str]]) -> str | None:
    """What the second fence holds, where it follows the first at once and is no code."""
    if len(fences) < 2 or text[fences[0].end() : fences[1].start()].strip():
        return None
    language, title, text_shown = fences[1].groups()
    return None if language in _LANGUAGES_OF_CODE or title is not None else text_shown


def run(command: list[str], cwd: Path) -> str:
    """What a command prints, with this environment's programs first; it must end with status 0."""
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
    return done.stdout


def run_block(block: Block, cwd: Path) -> None:
    """Run or store a block; what it prints must be what the page shows."""
    printed = output_of(block, cwd)
    if block.output is not None:
        assert shows(block.output, printed), printed


def output_of(block: Block, cwd: Path) -> str:
    """What a block prints; a stored one prints nothing."""
    if block.title is not None:
        (cwd / block.title).write_text(block.text, encoding="utf-8")
        return ""
    if block.language == "python":
        return run([sys.executable, "-W", "error", "-c", block.text], cwd)
    return "".join(run(["sh", "-c", line], cwd) for line in block.text.splitlines())


def shows(expected: str, printed: str) -> bool:
    """Whether `expected`, in which a line "..." stands for any lines, is all that was printed."""
    parts = re.split(r"^ *\.\.\.\n", expected, flags=re.MULTILINE)
    return re.fullmatch(r"(?s:.*)".join(map(re.escape, parts)), printed) is not None


def prepare(directory: Path) -> None:
    """What the pages take for granted: examples/, benchmarks/, and a layer of some weights."""
    for name in ("examples", "benchmarks"):
        (directory / name).symlink_to(ROOT / name)
    weight, bias = pruned(24, 32, 0.2), np.arange(24, dtype=np.float32)
    np.savez(directory / "WEIGHTS.npz", weight=weight, bias=bias, n=20)


def renew(page: Path) -> None:
    """Replace the outputs that a page shows in full by what is printed now."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        for block in read_blocks(page):
            printed = output_of(block, Path(name))
            if block.output is not None and not shows(block.output, printed):
                text = text.replace(f"\n{block.output}```", f"\n{printed}```", 1)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        renew(Path(argument))
