"""How many readers of a warp share each row of a matrix that is data on a GPU."""

from dataclasses import dataclass

import numpy as np

from sparsert_ir.dense import Array, IntArray


@dataclass(frozen=True)
class WarpPanels:
    """Panels for the warps of a grid, the fewest rows first.

    rows:       the row of each slot, panel by panel; -1 for none.
    panel_rows: the heights of panels that there are; powers of two, growing.
    panels:     how many panels have that height.
    """

    rows: IntArray
    panel_rows: tuple[int, ...]
    panels: tuple[int, ...]


def warp_panels(
    rows: IntArray, row_lengths: Array, *, height: int, tallest: int, multiple_of: int
) -> WarpPanels:
    """Deal `rows`, the longest first, so that all warps take about as many steps.

    A row of the mean length gets the readers of a warp divided by `height`; a row twice as long
    gets twice as many, up to all of them, and a shorter one fewer, down to what `tallest` rows get.
    multiple_of: the number of panels is rounded up to it with empty ones: warps of a block.
    """
    wanted = _heights(row_lengths[rows], height, tallest)
    slots: list[IntArray] = []
    panel_rows: list[int] = []
    panels: list[int] = []
    taken = 0
    for panel_height in np.unique(wanted):
        number = -(-max(0, np.count_nonzero(wanted <= panel_height) - taken) // panel_height)
        if number == 0:
            continue
        filled = np.full(number * panel_height, -1, np.int32)
        some = rows[taken : taken + filled.size]
        filled[: some.size] = some
        slots.append(filled)
        panel_rows.append(int(panel_height))
        panels.append(int(number))
        taken += some.size
    missing = -sum(panels) % multiple_of
    slots.append(np.full(missing * panel_rows[-1], -1, np.int32))
    panels[-1] += missing
    return WarpPanels(np.concatenate(slots), tuple(panel_rows), tuple(panels))


def _heights(row_lengths: Array, height: int, tallest: int) -> Array:
    """Rows of the panel that each row belongs in."""
    mean = max(float(row_lengths.mean()), 1.0)
    shorter = np.log2(mean / np.maximum(row_lengths, 1))
    return np.exp2(np.clip(np.log2(height) + np.rint(shorter), 0, np.log2(tallest))).astype(
        np.int64
    )
