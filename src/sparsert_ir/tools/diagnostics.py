"""Diagnostics: `file:line:column: error: ...`, the source line, and a caret below it."""

import re
from dataclasses import dataclass, replace

_LONGEST_MESSAGE = 1000
_LONGEST_EXCERPT = 160
_SYMBOL = re.compile(r"@[A-Za-z_](?:[\w$.]*\w)?")
_BEFORE_IR = re.compile(r"(?:\s++|//[^\n]*+)*+")


@dataclass(frozen=True)
class Diagnostic:
    """One mistake of the user. `line` and `column` count from 1; both are None where unknown.

    approximate: the place is only the nearest that is known, of a pass's error say.
    """

    file: str
    message: str
    line: int | None = None
    column: int | None = None
    source_line: str = ""
    approximate: bool = False

    def __str__(self) -> str:
        place = printable(self.file)
        if self.line is not None:
            place += f":{self.line}:{self.column}"
        text = f"{place}: error: {printable(shortened(self.message))}"
        if self.line is None or self.column is None or not self.source_line.strip():
            return text
        excerpt, caret = _excerpt(self.source_line, self.column - 1)
        return f"{text}\n{printable(excerpt)}\n{' ' * caret}^"


class DiagnosticError(Exception):
    """Carries a diagnostic to where it is printed."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic


@dataclass(frozen=True)
class Source:
    """A file, or the piece of one that starts at `first_line` (from 1)."""

    name: str
    text: str
    first_line: int = 1

    def error(self, position: int, message: str) -> DiagnosticError:
        """An error at the character `position` of the text, counted from 0."""
        position = min(position, len(self.text))
        begin = self.text.rfind("\n", 0, position) + 1
        line = self.first_line + self.text.count("\n", 0, begin)
        diagnostic = Diagnostic(self.name, message, line, position - begin + 1, self._line(begin))
        return DiagnosticError(diagnostic)

    def error_at_line(self, line: int, column: int, message: str) -> DiagnosticError:
        """An error at a line and column of the file, both counted from 1."""
        lines = self.text.split("\n", line - self.first_line + 1)
        inside = 0 <= line - self.first_line < len(lines)
        text = lines[line - self.first_line] if inside else ""
        return DiagnosticError(Diagnostic(self.name, message, line, column, text))

    def error_somewhere(self, message: str) -> DiagnosticError:
        """An error without a place: at the symbol that it names, or where the IR starts."""
        exact = self.error(self._place_of(message), message).diagnostic
        return DiagnosticError(replace(exact, approximate=True))

    def _place_of(self, message: str) -> int:
        for symbol in _SYMBOL.findall(message):
            for found in re.finditer(rf"{re.escape(symbol)}(?![\w$.])", self.text):
                line = self.text.rfind("\n", 0, found.start()) + 1
                if "//" not in self.text[line : found.start()]:
                    return found.start()
        start = _BEFORE_IR.match(self.text)
        return 0 if start is None else start.end()

    def _line(self, begin: int) -> str:
        end = self.text.find("\n", begin)
        return self.text[begin:] if end < 0 else self.text[begin:end]


def shortened(message: str, limit: int = _LONGEST_MESSAGE) -> str:
    """The message with its middle left out where it is longer than `limit` characters."""
    if len(message) <= limit:
        return message
    half = limit // 2
    return (
        f"{message[:half]} ... ({len(message) - limit} characters left out) ... {message[-half:]}"
    )


def printable(text: str) -> str:
    """The text with characters that could change a terminal's state written as escapes."""
    return "".join(
        c if c.isprintable() or c == "\n" else " " if c == "\t" else ascii(c)[1:-1] for c in text
    )


def _excerpt(line: str, caret: int) -> tuple[str, int]:
    """The part of a source line around the caret, and the caret's place in it."""
    begin = max(0, caret - _LONGEST_EXCERPT // 2)
    if len(line) <= _LONGEST_EXCERPT:
        begin = 0
    before, after = line[begin:caret], line[caret : begin + _LONGEST_EXCERPT]
    shown = printable(before)
    return shown + after, len(shown)
