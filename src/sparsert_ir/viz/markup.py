"""Pieces of HTML. Whatever comes from people goes through `text`."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from sparsert_ir.tools.diagnostics import printable

_CONTINUED = 4
"""Characters by which the rest of a long line is set in."""
_TOKEN = re.compile(
    r"(?P<gap>… [\d,]+ (?:(?:lines|characters) left out …|more bytes …|more))"
    r"|(?P<comment>//[^\n]*|; [^\n]*)"
    r'|(?P<string>"[^"\n]*")'
    r"|(?P<value>%[\w.$-]+)"
    r"|(?P<symbol>@[\w.$]+)"
    r"|(?P<op>(?<![\w.%@])[a-z_]+(?:\.[a-z_0-9]+)+)"
)


def text(words: str) -> str:
    """Escaped, control characters written out; the result is well-formed wherever it stands."""
    return escape(printable(words))


def prose(words: str) -> str:
    """Escaped; what stands in backticks becomes code."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", text(words))
    return re.sub(r"^(Requires|Guarantees):", r"<b>\1:</b>", marked)


def code(words: str) -> str:
    """A block of IR or assembly, its values, symbols and operations told apart; long lines go on
    below themselves, further to the right.
    """
    lines = "".join(map(_code_line, words.rstrip("\n").split("\n")))
    return f'<pre tabindex="0"><code>{lines}</code></pre>'


def _code_line(line: str) -> str:
    parts: list[str] = []
    end = 0
    for token in _TOKEN.finditer(line):
        parts.append(text(line[end : token.start()]))
        parts.append(f'<span class="{token.lastgroup}">{text(token[0])}</span>')
        end = token.end()
    parts.append(text(line[end:]))
    inset = len(line) - len(line.lstrip()) + _CONTINUED
    style = f"padding-left:{inset}ch;text-indent:-{inset}ch"
    return f'<span class="line" style="{style}">{"".join(parts)}\n</span>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values, as text."""
    rows = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs)
    return f"<dl>{rows}</dl>"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[int] = (),
    *,
    wide: bool = False,
) -> str:
    """Cells of markup under a head of text; `numbers` are columns to align to the right.

    wide: keeps its width on narrow screens, where it is moved sideways.
    """
    kind = ' class="wide"' if wide else ""
    names = [
        f'<th scope="col"{_aligned(place in numbers)}>{text(name)}</th>'
        for place, name in enumerate(head)
    ]
    lines = [
        "<tr>"
        + "".join(f"<td{_aligned(place in numbers)}>{cell}</td>" for place, cell in enumerate(row))
        + "</tr>"
        for row in rows
    ]
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{"".join(names)}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _aligned(right: bool) -> str:
    return ' class="number"' if right else ""
