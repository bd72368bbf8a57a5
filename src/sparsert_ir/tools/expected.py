"""`--verify-diagnostics`: errors that comments announce must occur, and no others.

`// expected-error@+1 {{part of the message}}` announces an error on the next line; `@-N`, `@above`,
`@below` and `@unknown` (no location) work as in MLIR, and so does nothing at all: this line.
"""

import re
from dataclasses import dataclass

from sparsert_ir.tools.diagnostics import Diagnostic, Source

_EXPECTED = re.compile(
    r"expected-error(?:@(?P<where>[+-]\d+|above|below|unknown))?\s*\{\{(?P<text>.*?)\}\}"
)


@dataclass(frozen=True)
class Expected:
    """An announced error: the comment's line and column, the error's line (None: unknown)."""

    line: int
    column: int
    error_line: int | None
    text: str

    def matches(self, diagnostic: Diagnostic) -> bool:
        line = None if diagnostic.approximate else diagnostic.line
        return line == self.error_line and self.text in diagnostic.message


def expected_errors(source: Source) -> list[Expected]:
    """All announcements in the text's comments."""
    lines = source.text.split("\n")
    announced = [list(_EXPECTED.finditer(_comment(line))) for line in lines]
    return [
        Expected(
            source.first_line + index,
            match.start() + 1,
            _error_line(match["where"], index, announced, source.first_line),
            match["text"],
        )
        for index, matches in enumerate(announced)
        for match in matches
    ]


def check_expected(source: Source, produced: list[Diagnostic]) -> list[Diagnostic]:
    """What is wrong: errors that nothing announced, and announced ones that did not occur."""
    missing = expected_errors(source)
    wrong: list[Diagnostic] = []
    for diagnostic in produced:
        found = next((one for one in missing if one.matches(diagnostic)), None)
        if found is not None:
            missing.remove(found)
        else:
            message = f"unexpected error: {diagnostic.message}"
            wrong.append(
                Diagnostic(
                    diagnostic.file,
                    message,
                    diagnostic.line,
                    diagnostic.column,
                    diagnostic.source_line,
                )
            )
    for one in missing:
        message = f"expected error {one.text!r} was not produced"
        wrong.append(source.error_at_line(one.line, one.column, message).diagnostic)
    return wrong


def _comment(line: str) -> str:
    """The line with what stands before its comment blanked out."""
    begin = line.find("//")
    return "" if begin < 0 else " " * begin + line[begin:]


def _error_line(
    where: str | None, index: int, announced: list[list[re.Match[str]]], first_line: int
) -> int | None:
    if where == "unknown":
        return None
    if where in ("above", "below"):
        step = -1 if where == "above" else 1
        index += step
        while 0 <= index < len(announced) and announced[index]:
            index += step
        return first_line + index
    return first_line + index + int(where or 0)
