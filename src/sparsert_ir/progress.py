"""Progress bars on standard error, where that is a terminal."""

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

_PATIENCE = 2.0
"""Seconds after which a bar says that something still runs."""

Report: TypeAlias = Callable[[str], None]
"""Called once after each step with what to show beside the bar."""


@contextmanager
def progress_bar(title: str, total: int, *, shown: bool | None = None) -> Generator[Report]:
    """Yields what is to be called after each of `total` steps.

    shown: None decides by whether standard error is a terminal.
    """
    if shown is None:
        shown = sys.stderr.isatty()
    if not shown:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[note]}"), console=console
    ) as bar:  # fmt: skip
        task = bar.add_task(title, total=total, note="")
        yield lambda note: bar.update(task, advance=1, note=note)


@contextmanager
def waiting_bar(title: str, *, patience: float = _PATIENCE) -> Generator[None]:
    """A bar without an end and the time so far, for what takes longer than `patience` seconds."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task(title, total=None)
    timer = threading.Timer(patience, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
