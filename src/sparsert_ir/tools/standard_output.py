"""Standard output of the programs: always UTF-8, and a full disk behind it is told."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

from sparsert_ir.errors import FileWriteError


def write_output(text: str) -> None:
    """Raises FileWriteError where it cannot be written, BrokenPipeError where nobody reads."""
    with flushed_output():
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


def replace_closed_streams() -> None:
    """Python has no standard streams where the caller has closed them: what is printed goes
    nowhere then.
    """
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


@contextmanager
def flushed_output() -> Generator[None]:
    """What the `with` prints is written at its end; errors as of `write_output`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        raise
    except OSError as error:
        discard_output()
        raise FileWriteError(f"standard output: cannot write: {error.strerror or error}") from error


def discard_output() -> None:
    """Let what is still to be written go nowhere, so that Python does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
