"""Reads IR text and refuses, before the parser sees it, what the parser cannot stand.

xDSL's lexer needs exponential time on a string that is not closed, and its parser recurses once or
more for each level of nesting.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from sparsert_ir.tools.diagnostics import Diagnostic, DiagnosticError, Source

STANDARD_INPUT = "<stdin>"

_SEPARATOR = re.compile(r"^// -----[ \t]*\r?\n?", re.MULTILINE)
_STRING = r'"(?:[^"\\\n\v\f]++|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*+"'
_SKIPPED = re.compile(rf"//[^\n]*+|{_STRING}")
_TOKEN = re.compile(rf'//[^\n]*+|{_STRING}|->|<=|>=|(?P<quote>")|(?P<open>[\[({{<])|[\])}}>]')
_ONLY_COMMENTS = re.compile(r"(?:\s++|//[^\n]*+)*+")


@dataclass(frozen=True)
class Limits:
    """What an input may hold at most.

    characters:     outside of strings and comments, where large constants stand.
    nesting:        brackets within brackets.
    dense_elements: of one dense attribute, which a splat makes from a few characters.
    integer_bits:   of an integer type; xDSL computes the bounds of its values.
    """

    characters: int = 2**23
    nesting: int = 200
    dense_elements: int = 2**25
    integer_bits: int = 128


UNLIMITED = Limits(*[sys.maxsize] * 4)


def read_source(path: str | None) -> Source:
    """Read a file, or standard input for None or "-"; DiagnosticError where that fails."""
    name = STANDARD_INPUT if path in (None, "-") else str(path)
    try:
        data = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    except OSError as error:
        message = f"cannot read: {error.strerror or error}"
        raise DiagnosticError(Diagnostic(name, message)) from error
    try:
        return Source(name, data.decode())
    except UnicodeDecodeError as error:
        text = data[: error.start].decode()
        readable = Source(name, text + data[error.start :].decode(errors="replace"))
        raise readable.error(
            len(text), f"expected UTF-8 text, got the byte 0x{data[error.start]:02x}"
        ) from None


def split_source(source: Source) -> list[Source]:
    """The pieces between lines of `// -----`; a piece without any operation is left out."""
    pieces: list[Source] = []
    begin, line = 0, source.first_line
    for end, after in [
        *((match.start(), match.end()) for match in _SEPARATOR.finditer(source.text)),
        (len(source.text), len(source.text)),
    ]:
        piece = Source(source.name, source.text[begin:end], line)
        if not is_blank(piece):
            pieces.append(piece)
        line += source.text.count("\n", begin, after)
        begin = after
    return pieces or [source]


def is_blank(source: Source) -> bool:
    """Whether the text holds nothing but white space and comments."""
    return _ONLY_COMMENTS.fullmatch(source.text) is not None


def check_source(source: Source, limits: Limits) -> None:
    """Raise DiagnosticError for text that must not reach the parser; linear in its length."""
    if is_blank(source):
        raise source.error(0, "expected at least one operation, got an empty input")
    if (position := source.text.find("\0")) >= 0:
        raise source.error(position, "expected text, got a NUL character")
    if len(source.text) > limits.characters:
        _check_size(source, limits.characters)
    _check_tokens(source, limits.nesting)


def _check_size(source: Source, limit: int) -> None:
    """Stops counting at the limit; a string's quotes are counted."""
    size, end = 0, 0
    for match in _SKIPPED.finditer(source.text):
        size += match.start() - end + 2
        end = match.end()
        if size > limit:
            break
    else:
        size += len(source.text) - end
    if size > limit:
        raise source.error_somewhere(
            f"expected at most {limit} characters outside of strings; write large constants as"
            ' dense<"0x..."> or give --no-limits'
        )


def _check_tokens(source: Source, limit: int) -> None:
    depth = 0
    for match in _TOKEN.finditer(source.text):
        if match["quote"]:
            raise source.error(
                match.start(),
                "expected a string that ends on its line, with no escapes but \\n, \\t, \\\\,"
                ' \\" and two hexadecimal digits',
            )
        if match["open"]:
            depth += 1
            if depth > limit:
                raise source.error(
                    match.start(),
                    f"expected brackets nested at most {limit} deep; give --no-limits to try",
                )
        elif match[0] in "])}>":
            depth = max(0, depth - 1)
