"""Progress bars stand on standard error, only on a terminal, and only for what takes long."""

import os
import pty
import subprocess
import sys
import threading
import time
from typing import IO

import pytest

from sparsert_ir.progress import progress_bar, waiting_bar

SHOWN = {
    "what takes long": (
        "with waiting_bar('compiling', patience=0.01): time.sleep(0.5)",
        "compiling",
    ),
    "steps": ("with progress_bar('tuning', 2) as step: step('a'); step('best 2.00 us')", "2/2"),
    "what is beside": ("with progress_bar('tuning', 1) as step: step('best 2.00 us')", "best 2.00"),
}
FAILING = """
try:
    with waiting_bar('compiling', patience=0.01):
        time.sleep(0.3)
        raise ValueError('wrong')
except ValueError:
    # rich tells its thread to end and does not wait for it.
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(5)
    print(threading.active_count(), file=sys.stderr)
"""
IMPORTS = """
import sys, threading, time
from sparsert_ir.progress import progress_bar, waiting_bar
"""


def on_a_terminal(code: str) -> str:
    """What Python code writes to a terminal as its standard error."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", IMPORTS + code]
    with subprocess.Popen(command, stderr=theirs, env=environment) as process:
        os.close(theirs)
        with open(ours, "rb", buffering=0) as terminal:
            written = b"".join(iter(lambda: read_or_end(terminal), b""))
    assert process.returncode == 0
    return written.decode()


def read_or_end(terminal: IO[bytes]) -> bytes:
    """What came next; nothing at the end, which Linux calls an error."""
    try:
        return terminal.read(65536)
    except OSError:
        return b""


@pytest.mark.parametrize("what", SHOWN)
def test_bars_on_a_terminal(what: str) -> None:
    code, expected = SHOWN[what]
    assert expected in on_a_terminal(code)


def test_what_is_over_soon_shows_nothing() -> None:
    assert on_a_terminal("with waiting_bar('compiling'): print('.', file=sys.stderr)") == ".\r\n"


def test_a_failure_ends_the_bar() -> None:
    written = on_a_terminal(FAILING)
    assert "compiling" in written
    assert written.endswith("1\r\n")


def test_without_a_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    threads = threading.active_count()
    with waiting_bar("compiling", patience=0.0), progress_bar("tuning", 1) as step:
        time.sleep(0.05)
        step("")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert threading.active_count() == threads
