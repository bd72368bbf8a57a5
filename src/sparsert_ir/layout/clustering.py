"""Which rows share a panel so that they share columns, too: each element of x then meets more rows.

A panel loads every row of x that any of its rows has a nonzero for, so the loads of a kernel are
the distinct columns of its panels: the connectivity of a hypergraph whose nets are the columns.
"""

import numpy as np

from sparsert_ir.dense import Array, IntArray
from sparsert_ir.layout.partition import balanced_panels
from sparsert_ir.layout.row_swaps import swap_rows

_MOST_WORK = 2**29
"""Marks that are read while rows are dealt: about a quarter of a second."""
_WORK_OF_A_PAIR = 16
"""Of rows, that could be traded for each other."""
_MOST_MARKS = 2**27
"""Bytes of marks: one for each column with a nonzero and each panel."""


def clustered_panels(row_offsets: Array, column_indices: Array, rows_per_panel: int) -> IntArray:
    """Deal the rows of a CSR matrix to panels of at most `rows_per_panel` so that the rows of a
    panel share columns and all panels have about as many nonzeros.

    One pass in the manner of streaming graph partitioning (I. Stanton, G. Kliot, "Streaming graph
    partitioning for large distributed graphs", 2012), then trades of rows (`swap_rows`). Takes time
    proportional to panels times nonzeros; where that is much, rows are first dealt to balanced
    groups of panels. Returns a table as `balanced_panels` does.
    """
    row_count = row_offsets.size - 1
    # Columns without a nonzero would cost marks, too.
    used, columns = np.unique(column_indices, return_inverse=True)
    panel_count = -(-row_count // rows_per_panel)
    work = panel_count * columns.size + _WORK_OF_A_PAIR * row_count**2
    marks = panel_count * used.size
    groups = min(panel_count, 1 + max(work // _MOST_WORK, marks // _MOST_MARKS))
    rows_of_groups = balanced_panels(
        np.diff(row_offsets), rows_per_panel * -(-panel_count // groups)
    )
    height = -(-row_count // panel_count)
    panels: list[IntArray] = []
    for rows in rows_of_groups:
        table = _cluster(row_offsets, columns, rows[rows >= 0], used.size, height)
        panels.append(swap_rows(row_offsets, columns, table, used.size))
    return np.concatenate(panels)


def _cluster(
    offsets: Array, columns: Array, rows: IntArray, column_count: int, height: int
) -> IntArray:
    """Deal `rows` to as few panels of at most `height` rows as hold them.

    The longest row first, each to the panel that has most of its columns already, among those that
    have room and would be no longer than the average if rows of average length filled them up, or
    that are not ahead of the emptiest by more than half of the row. Ties go to the panel with
    fewer nonzeros, then to the lower number.
    """
    panel_count = -(-rows.size // height)
    table = np.full((panel_count, height), -1, np.int32)
    marks = np.zeros((column_count, panel_count), np.bool_)
    nonzeros = np.zeros(panel_count, np.int64)
    room = np.full(panel_count, height)
    lengths = offsets[rows + 1] - offsets[rows]
    total = rest = int(lengths.sum())
    for dealt, row in enumerate(rows[np.argsort(-lengths, kind="stable")].tolist(), start=1):
        touched = columns[offsets[row] : offsets[row + 1]]
        rest -= touched.size
        filled = nonzeros + touched.size + (room - 1) * (rest / max(rows.size - dealt, 1))
        emptiest = nonzeros[room > 0].min()
        fits = (filled <= total / panel_count) | (nonzeros <= emptiest + (touched.size + 1) // 2)
        shared = marks[touched].sum(axis=0, dtype=np.int64)
        score = np.where((room > 0) & fits, shared * (total + 1) - nonzeros, -total - 1)
        panel = int(score.argmax())
        table[panel, height - room[panel]] = row
        marks[touched, panel] = True
        nonzeros[panel] += touched.size
        room[panel] -= 1
    return table
