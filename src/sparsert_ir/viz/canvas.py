"""An empty figure in the look that all pictures share."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeAlias

from sparsert_ir.errors import MissingExtraError
from sparsert_ir.tools.diagnostics import printable

Axes: TypeAlias = Any
"""matplotlib's; its type hints leave keyword arguments open, which strict checking refuses."""

INK, QUIET, RULE = "#1f2430", "#5d6675", "#d5d9e0"
COLOURS = ("#2f6fb0", "#c9622a", "#3d8f5f", "#8b5aa8", "#b08a1e", "#2d8d97")
"""Of panels and series; neighbours can be told apart in grey, too."""

_STYLE: dict[str, Any] = {
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    # Identifiers in an SVG come from this and the drawing, not from chance.
    "svg.hashsalt": "sparsert",
    # Names of users may hold dollar signs.
    "text.parse_math": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
}


@contextmanager
def figure_style() -> Generator[None]:
    """The look, while figures are made or written; other figures of the process keep theirs.

    Raises MissingExtraError where matplotlib is not installed.
    """
    try:
        matplotlib: Any = import_module("matplotlib")
    except ImportError as error:
        raise MissingExtraError(
            "pictures: expected matplotlib, which is not installed; it comes with the extra viz:"
            " pip install 'sparsert_ir[viz]'"
        ) from error
    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Any:
    """An empty `Figure` of so many inches; to be called inside `figure_style`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def label(text: str, longest: int = 60) -> str:
    """Text of a user as a label: one line of printable characters, its end left out if long."""
    shown = " ".join(printable(text).split())
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def plain_numbers(axis: Any) -> None:
    """Ticks of a logarithmic axis, which has its limits, at 1, 2 and 5 times powers of ten, as 0.1,
    20, 5,000; at more places if it is short.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    subs = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0) if high < 10 * low else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(_plain_number))
    axis.set_minor_formatter(NullFormatter())


def percent(value: float, _position: int | None = None) -> str:
    """A tick of an axis of shares."""
    return f"{value:.0%}"


def _plain_number(value: float, _position: int | None) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"
