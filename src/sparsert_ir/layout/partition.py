"""Which rows share a panel, and where a panel's columns are split into K groups."""

import heapq

import numpy as np

from sparsert_ir.dense import Array, IntArray


def balanced_panels(row_lengths: Array, rows_per_panel: int) -> IntArray:
    """Deal rows to panels of at most `rows_per_panel` so that all have about as many nonzeros.

    Longest row first, each to the panel with the fewest nonzeros that still has room (LPT: R. L.
    Graham, "Bounds on multiprocessing timing anomalies", 1969). Ties go to the lower number, so the
    result depends on nothing but the arguments. Returns P x R row numbers, ascending within a panel
    and filled up with -1; P = ceil(M / R) and R is no larger than needed for P panels.
    """
    row_count = row_lengths.size
    panel_count = -(-row_count // rows_per_panel)
    height = -(-row_count // panel_count)
    panels: list[list[int]] = [[] for _ in range(panel_count)]
    heap = [(0, panel) for panel in range(panel_count)]
    for row in np.argsort(-row_lengths, kind="stable").tolist():
        load, panel = heapq.heappop(heap)
        panels[panel].append(row)
        if len(panels[panel]) < height:
            heapq.heappush(heap, (load + int(row_lengths[row]), panel))
    table = np.full((panel_count, height), -1, np.int32)
    for panel, rows in enumerate(panels):
        table[panel, : len(rows)] = sorted(rows)
    return table


def whole_splits(panel_count: int, column_count: int) -> IntArray:
    """One K group for each panel: all columns."""
    return np.tile(np.array([0, column_count], np.int32), (panel_count, 1))


def balanced_splits(
    row_offsets: Array, column_indices: Array, panels: IntArray, groups: int, column_count: int
) -> IntArray:
    """Split each panel's columns into `groups` ranges with about as many nonzeros each.

    Returns P x (groups + 1) column numbers; a group is empty where one column holds too much.
    """
    splits = np.ones((panels.shape[0], groups + 1), np.int32)
    for panel, rows in enumerate(panels):
        columns = np.sort(
            np.concatenate(
                [column_indices[row_offsets[r] : row_offsets[r + 1]] for r in rows if r >= 0]
            )
        )
        if columns.size:
            goals = np.ceil(columns.size * np.arange(1, groups) / groups)
            splits[panel, 1:-1] = columns[goals.astype(np.int64) - 1] + 1
    splits[:, 0], splits[:, -1] = 0, column_count
    return np.minimum(splits, column_count)


def panel_run(
    row_offsets: Array, column_indices: Array, rows: IntArray, begin: int, end: int
) -> tuple[IntArray, IntArray, IntArray]:
    """The nonzeros of `rows` in columns [begin, end), in the order in which a thread adds them.

    Returns for each nonzero its column, the position of its row in `rows`, and its index in the CSR
    arrays; ordered by column, then by position.
    """
    starts = np.where(rows >= 0, row_offsets[rows], 0)
    lengths = np.where(rows >= 0, row_offsets[rows + 1] - row_offsets[rows], 0)
    positions = np.repeat(np.arange(rows.size), lengths)
    within = np.arange(positions.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    indices = starts[positions] + within
    columns = column_indices[indices]
    inside = (columns >= begin) & (columns < end)
    columns, positions, indices = columns[inside], positions[inside], indices[inside]
    order = np.lexsort((positions, columns))
    return (
        columns[order].astype(np.int32),
        positions[order].astype(np.int32),
        indices[order].astype(np.int32),
    )
