"""What the panels of a matrix have to do under a schedule: loads of x, and how uneven it is."""

from dataclasses import dataclass, field

import numpy as np

from sparsert_ir.layout.dealing import deal_rows, touched_columns
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule


@dataclass(frozen=True)
class PanelWork:
    """columns: distinct columns that a panel touches, on average.
    busiest: multiply-adds and loads of the panel that has most of them, over the average.
    """

    columns: float
    busiest: float

    @classmethod
    def of(cls, matrix: SparseMatrix, schedule: Schedule) -> "PanelWork":
        panels = deal_rows(matrix.row_offsets, matrix.column_indices, schedule)
        touched = touched_columns(matrix.row_offsets, matrix.column_indices, panels)
        lengths = np.append(matrix.row_lengths, 0)
        work = lengths[panels].sum(axis=1) + touched
        mean = float(work.mean())
        return cls(float(touched.mean()), float(work.max()) / mean if mean else 1.0)


@dataclass(frozen=True, eq=False)
class Pattern:
    """A matrix whose rows are dealt once for each way that a schedule asks for."""

    matrix: SparseMatrix
    _known: dict[tuple[str, int, str], PanelWork] = field(
        default_factory=dict[tuple[str, int, str], PanelWork], repr=False
    )

    def work(self, schedule: Schedule) -> PanelWork:
        key = (schedule.lowering, schedule.rows_per_panel, schedule.permutation)
        if key not in self._known:
            self._known[key] = PanelWork.of(self.matrix, schedule)
        return self._known[key]
