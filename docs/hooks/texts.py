"""Pieces of Markdown."""

import inspect
import re
from collections.abc import Iterable, Sequence


def escaped(text: str) -> str:
    """Text for one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(escaped, line)) + " |" for line in lines) + "\n"


def fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def docstring(thing: object) -> str:
    """What `thing` says about itself; lines `name: meaning` become a list."""
    text = inspect.getdoc(thing) or ""
    return "\n\n".join(map(_block, text.split("\n\n"))) + "\n"


def _block(text: str) -> str:
    if text.startswith(" "):
        return fenced(inspect.cleandoc(text))
    if not re.match(r"\w+: ", text):
        return text
    named = re.sub(r"^(\w+): +", r"- **\1**: ", text, flags=re.MULTILINE)
    return re.sub(r"\n +", "\n    ", named)


def page(title: str, introduction: str, parts: Iterable[str]) -> str:
    return "\n".join([f"# {title}\n", introduction + "\n", *parts])
