"""How rows are dealt to panels for each lowering, and what a panel then touches."""

import numpy as np

from sparsert_ir.dense import Array, IntArray
from sparsert_ir.layout.clustering import clustered_panels
from sparsert_ir.layout.packing import similar_panels
from sparsert_ir.layout.partition import balanced_panels
from sparsert_ir.schedule import Schedule


def deal_rows(row_offsets: Array, column_indices: Array, schedule: Schedule) -> IntArray:
    """P x R row numbers of a CSR matrix, filled up with -1.

    Panels that become code get about as many nonzeros each; panels that become data hold rows of
    about the same length, since their rows advance together.
    """
    height = schedule.rows_per_panel
    if schedule.lowering == "data":
        return similar_panels(np.diff(row_offsets), height)
    if schedule.permutation == "clustered":
        return clustered_panels(row_offsets, column_indices, height)
    return balanced_panels(np.diff(row_offsets), height)


def touched_columns(row_offsets: Array, column_indices: Array, panels: IntArray) -> IntArray:
    """How many columns each panel has a nonzero in: the rows of x that it loads."""
    panel_of_row = np.empty(row_offsets.size - 1, np.int64)
    numbers, positions = np.nonzero(panels >= 0)
    panel_of_row[panels[numbers, positions]] = numbers
    column_count = int(column_indices.max(initial=0)) + 1
    keys = np.repeat(panel_of_row, np.diff(row_offsets)) * column_count + column_indices
    touched = np.unique(keys) // column_count
    return np.bincount(touched, minlength=panels.shape[0]).astype(np.int32)
