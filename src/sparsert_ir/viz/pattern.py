"""The pattern of a matrix, and how its rows were dealt to panels."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sparsert_ir.dense import Array, IntArray
from sparsert_ir.viz.canvas import COLOURS, INK, Axes, figure_style, label, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sparsert_ir.matrix import SparseMatrix

_MOST_CELLS = 512
"""Of an image along one side; larger matrices are shown as the density of blocks."""
_MOST_BOUNDARIES = 40
_FAINTEST = 0.15


def pattern_figure(matrix: "SparseMatrix", panels: IntArray, title: str = "") -> "Figure":
    """Where the nonzeros are, twice: rows as they come, and rows sorted by panel.

    panels: P x R row numbers, filled up with -1 (`sparsert_ir.layout.dealing.deal_rows`).
    Colours tell the panels apart and repeat; on the right, lines part the panels unless there are
    too many. A matrix of more than 512 rows or columns is shown in blocks, the denser the darker.
    """
    panel_of = np.empty(matrix.shape[0], np.int64)
    held = panels >= 0
    panel_of[panels[held]] = np.nonzero(held)[0]
    order = panels[held]
    with figure_style():
        figure = new_figure(7.6, _height(matrix.shape))
        axes: tuple[Axes, Axes] = figure.subplots(1, 2)
        if title:
            figure.suptitle(label(title, 90), x=0.01, ha="left", fontsize=10.5, color=INK)
        _show(axes[0], matrix, np.arange(matrix.shape[0]), panel_of)
        axes[0].set_title("rows as stored, coloured by panel")
        axes[0].set_ylabel("row")
        _show(axes[1], matrix, order, panel_of)
        axes[1].set_title(panels_in_words(panels))
        axes[1].set_ylabel("row, in order of panels")
        if panels.shape[0] <= _MOST_BOUNDARIES:
            for boundary in np.cumsum(held.sum(axis=1))[:-1].tolist():
                axes[1].axhline(boundary - 0.5, color=INK, linewidth=0.5)
    return figure


def panels_in_words(panels: IntArray) -> str:
    """How many panels there are, of how many rows."""
    count, height = panels.shape
    return f"{count:,} panel{'s' if count > 1 else ''} of " + (
        "one row" if height == 1 else f"up to {height} rows"
    )


def _height(shape: tuple[int, int]) -> float:
    """Inches that give square cells about square places."""
    return min(7.5, max(2.4, 3.3 * shape[0] / shape[1] + 0.7))


def _show(axes: Axes, matrix: "SparseMatrix", order: Array, panel_of: Array) -> None:
    rows, columns = matrix.shape
    image = pattern_image(matrix, order, panel_of)
    axes.imshow(
        image,
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
        interpolation="none",
        aspect="auto",
    )
    axes.set_xlabel("column")
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)


def pattern_image(matrix: "SparseMatrix", order: Array, panel_of: Array) -> npt.NDArray[np.uint8]:
    """Red, green, blue and opacity of each cell; a cell without a nonzero is transparent.

    order: row numbers from top to bottom; panel_of: the panel of each row.
    """
    rows, columns = matrix.shape
    tall, wide = -(-rows // _MOST_CELLS), -(-columns // _MOST_CELLS)
    shape = (-(-rows // tall), -(-columns // wide))
    place = np.empty(rows, np.int64)
    place[order] = np.arange(rows)
    row_of = np.repeat(np.arange(rows), matrix.row_lengths)
    cell = place[row_of] // tall * shape[1] + matrix.column_indices.astype(np.int64) // wide
    counts = np.bincount(cell, minlength=shape[0] * shape[1])
    palette = np.array([[int(name[i : i + 2], 16) for i in (1, 3, 5)] for name in COLOURS])
    colour_of = palette[panel_of[row_of] % len(COLOURS)]
    image = np.zeros((counts.size, 4))
    for channel in range(3):
        total = np.bincount(cell, weights=colour_of[:, channel], minlength=counts.size)
        image[:, channel] = total / np.maximum(counts, 1)
    share = counts / max(1, int(counts.max()))
    image[:, 3] = 255 * np.where(counts > 0, _FAINTEST + (1 - _FAINTEST) * share, 0)
    return np.rint(image).astype(np.uint8).reshape(*shape, 4)
