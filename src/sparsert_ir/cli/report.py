"""What a subcommand found: facts and tables for people, a document for programs."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsert_ir.tools.diagnostics import printable

_WIDTH_OF_NO_TERMINAL = 160
_WIDEST_TABLE = 10_000


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; `title` may be empty."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def without_empty_columns(table: Table) -> Table:
    """Leave out the columns in which no row says anything."""
    used = [place for place in range(len(table.head)) if any(row[place] for row in table.rows)]
    rows = [[row[place] for place in used] for row in table.rows]
    return Table(table.title, [table.head[place] for place in used], rows)


@dataclass(frozen=True)
class Report:
    """document: what `--json` prints; facts: name and value; status: the exit status.

    text: printed as it is, instead of everything else.
    """

    document: dict[str, Any]
    title: str = ""
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = field(default_factory=tuple[Table, ...])
    notes: Sequence[str] = ()
    status: int = 0
    text: str | None = None


def print_report(report: Report, *, as_json: bool) -> None:
    """To standard output."""
    if as_json:
        print(json.dumps(report.document, indent=1))
        return
    if report.text is not None:
        sys.stdout.write(report.text)
        return
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    # Names come from files: Text keeps them from being read as markup.
    width = None if sys.stdout.isatty() else _WIDTH_OF_NO_TERMINAL
    console = Console(width=width, highlight=False)
    if report.title:
        console.print(Text(printable(report.title), style="bold"), soft_wrap=True)
    longest = max((len(name) for name, _ in report.facts), default=0)
    for name, value in report.facts:
        # One line each, however long: rich would wrap.
        line = Text(f"{name:<{longest}}  ", style="dim") + Text(printable(value))
        console.print(line, soft_wrap=True)
    for table in report.tables:
        shown = RichTable(title=Text(table.title) if table.title else None, title_justify="left")
        for position, name in enumerate(table.head):
            cells = [row[position] for row in table.rows]
            shown.add_column(Text(name), justify="right" if _are_numbers(cells) else "left")
        for row in table.rows:
            shown.add_row(*(Text(printable(cell)) for cell in row))
        # As wide as its cells, also beyond the terminal: rich would break numbers in two.
        widest = Console(width=_WIDEST_TABLE).measure(shown).maximum
        Console(width=max(widest, console.width), highlight=False).print(shown)
    for note in report.notes:
        console.print(Text(printable(note)), soft_wrap=True)


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(cell[0].isdigit() for cell in cells if cell)


def count(number: float) -> str:
    """A number with thousands separated."""
    return f"{number:,.0f}"


def microseconds(us: float | None) -> str:
    return "" if us is None else f"{us:.2f} us"


def times(ratio: float) -> str:
    """A ratio in words."""
    return f"{ratio:.2f}x faster" if ratio >= 1 else f"{1 / ratio:.2f}x slower"
