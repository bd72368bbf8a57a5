"""Figures as bytes, the same in every process."""

import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsert_ir.errors import ArgumentError
from sparsert_ir.files import write_atomically
from sparsert_ir.viz.canvas import figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
_DOTS_PER_INCH = 150


def save_figure(figure: "Figure", path: Path) -> None:
    """Write an .svg or .png; ArgumentError for other names, FileWriteError where that fails."""
    write_atomically(path, figure_bytes(figure, format_of(path)))


def format_of(path: Path) -> str:
    """ "svg" or "png", by the name; ArgumentError for others."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ArgumentError(f"picture: expected a name that ends in .svg or .png, got {path}")
    return suffix.removeprefix(".")


def figure_bytes(figure: Any, kind: str) -> bytes:
    """A `Figure` without dates and versions; kind: "svg" or "png"."""
    buffer = BytesIO()
    # Left out are also the names of metadata vocabularies, which look like addresses.
    names = ("Creator", "Date", "Format", "Type") if kind == "svg" else ("Software",)
    with figure_style():
        figure.savefig(
            buffer, format=kind, dpi=_DOTS_PER_INCH, metadata=dict.fromkeys(names)
        )  # fmt: skip
    return buffer.getvalue()


def inline_svg(figure: "Figure", prefix: str, description: str) -> str:
    """An `<svg>` element for an HTML page, as wide as its place allows.

    prefix:      put before identifiers, so that figures of one page do not mix theirs.
    description: what a reader who cannot see it is told; text without markup.
    """
    from html import escape

    text = figure_bytes(figure, "svg").decode()
    svg = text[text.index("<svg") :].rstrip()
    # The parser of HTML knows the elements of SVG without namespaces.
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href=", "href=")
    svg = re.sub(r' (id|clip-path)="(url\(#)?', rf' \1="\2{prefix}-', svg)
    svg = svg.replace('href="#', f'href="#{prefix}-')
    head = f'<svg role="img" aria-label="{escape(description)}"'
    return re.sub(r'^<svg width="[^"]*" height="[^"]*"', head, svg, count=1)
