"""Nonzeros per row panel, before and after rows were dealt."""

from typing import TYPE_CHECKING

import numpy as np

from sparsert_ir.dense import Array, IntArray
from sparsert_ir.viz.canvas import COLOURS, INK, Axes, figure_style, label, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sparsert_ir.matrix import SparseMatrix


def panels_figure(matrix: "SparseMatrix", panels: IntArray, title: str = "") -> "Figure":
    """Nonzeros of each panel: of as many equal ranges of rows as they come, and as dealt.

    panels: P x R row numbers, filled up with -1 (`sparsert_ir.layout.dealing.deal_rows`).
    """
    before, after = panel_loads(matrix, panels)
    with figure_style():
        figure = new_figure(7.6, 2.9)
        axes: tuple[Axes, Axes] = figure.subplots(1, 2, sharey=True)
        if title:
            figure.suptitle(label(title, 90), x=0.01, ha="left", fontsize=10.5, color=INK)
        for one, loads, name, colour in (
            (axes[0], before, "rows as stored", COLOURS[1]),
            (axes[1], after, "rows as dealt", COLOURS[0]),
        ):
            mean = float(loads.mean())
            edges = np.arange(loads.size + 1) - 0.5
            one.stairs(loads, edges, fill=True, color=colour)
            one.axhline(mean, color=INK, linewidth=0.8, linestyle="--")
            most = float(loads.max()) / mean if mean else 1.0
            one.set_title(f"{name}: most is {most:.2f} x mean")
            one.set_xlabel("panel")
        axes[0].set_ylabel("nonzeros")
    return figure


def panel_loads(matrix: "SparseMatrix", panels: IntArray) -> tuple[Array, Array]:
    """Nonzeros of contiguous ranges of R rows, and of the panels."""
    lengths = np.append(matrix.row_lengths, 0)
    dealt = lengths[panels].sum(axis=1)
    rows, height = matrix.shape[0], panels.shape[1]
    ends = [*range(0, rows, height), rows]
    return np.diff(matrix.row_offsets[ends]), dealt
