"""A process that kills itself at a step of writing a file."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_PREPARE = """
import os, signal, sys

path, function, when = sys.argv[1:]
original = getattr(os, function)

def killed(*arguments, **options):
    if when == "after":
        original(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, function, killed)
"""

OLD, NEW = b"old" * 40_000, b"new" * 40_000

AT_EVERY_STEP = pytest.mark.parametrize(
    ("function", "when", "found"),
    [
        ("fsync", "before", OLD),
        ("fsync", "after", OLD),
        ("replace", "before", OLD),
        ("replace", "after", NEW),
    ],
)
"""The function of `os` that kills, before or after its work, and what must be there then."""


def run_until_killed(write: str, path: Path, function: str, when: str) -> None:
    """Run the lines `write`, which take a file or directory from `path`, in a process that is
    killed at `function`.
    """
    command = [sys.executable, "-c", _PREPARE + write, str(path), function, when]
    done = subprocess.run(command, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
