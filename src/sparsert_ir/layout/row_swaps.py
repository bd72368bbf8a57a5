"""Trading rows between panels while that lowers the number of distinct columns."""

from dataclasses import dataclass

import numpy as np

from sparsert_ir.dense import Array, IntArray

_SWEEPS = 3
_WORTH_A_SWEEP = 0.005
"""Of all loads: what a sweep must save for another one to follow."""
_TRIES_PER_ROW = 2
_UNEVENNESS = 0.02
"""Of a panel's nonzeros: how far a trade may take a panel from the mean; a panel that is further
away already may only come closer.
"""


def swap_rows(offsets: Array, columns: Array, panels: IntArray, column_count: int) -> IntArray:
    """The same panels with rows traded between them, two at a time, each trade for fewer loads.

    A sweep estimates every trade from counts taken at its start and makes the best ones, panel by
    panel, if exact counts agree (a sweep of B. Kernighan, S. Lin, "An efficient heuristic procedure
    for partitioning graphs", 1970, without its uphill moves). Takes time proportional to panels
    times nonzeros. Every row of the CSR matrix that `panels` names is in one of them.
    """
    trade = _Trade.of(offsets, columns, panels, column_count)
    before = trade.loads()
    for _ in range(_SWEEPS):
        trade.sweep()
        after = trade.loads()
        if before - after < _WORTH_A_SWEEP * before:
            break
        before = after
    return _sorted(trade.panels)


def _sorted(panels: IntArray) -> IntArray:
    """Rows ascending in each panel, with -1 last."""
    last = np.iinfo(np.int32).max
    ordered = np.sort(np.where(panels < 0, last, panels), axis=1)
    return np.where(ordered == last, -1, ordered).astype(np.int32)


@dataclass(frozen=True, eq=False)
class _Trade:
    """rows: those that are dealt. panel_of, slot_of: of each row of the matrix.
    counts: for each panel and column, rows of the panel with a nonzero there.
    nonzeros: of each panel; `mean` is their average.
    """

    offsets: Array
    columns: Array
    panels: IntArray
    rows: Array
    panel_of: Array
    slot_of: Array
    counts: Array
    nonzeros: Array
    mean: float

    @classmethod
    def of(cls, offsets: Array, columns: Array, panels: IntArray, column_count: int) -> "_Trade":
        panel, slot = np.nonzero(panels >= 0)
        rows = panels[panel, slot]
        lengths = np.diff(offsets)
        panel_of, slot_of = np.zeros((2, lengths.size), np.int64)
        panel_of[rows], slot_of[rows] = panel, slot
        counts = np.zeros((panels.shape[0], column_count), np.int32)
        dealt = np.zeros(lengths.size, np.bool_)
        dealt[rows] = True
        inside = np.repeat(dealt, lengths)
        np.add.at(counts, (np.repeat(panel_of, lengths)[inside], columns[inside]), 1)
        nonzeros = np.bincount(panel, weights=lengths[rows], minlength=panels.shape[0])
        mean = float(nonzeros.mean())
        return cls(offsets, columns, panels.copy(), rows, panel_of, slot_of, counts, nonzeros, mean)

    def loads(self) -> int:
        """Distinct columns of all panels."""
        return int(np.count_nonzero(self.counts))

    def of_row(self, row: int) -> Array:
        return self.columns[self.offsets[row] : self.offsets[row + 1]]

    def sweep(self) -> None:
        """Visit every panel once."""
        present = np.ascontiguousarray(self.counts.T > 0)
        lengths = np.diff(self.offsets)
        shared = np.empty((lengths.size, self.panels.shape[0]), np.int32)
        saved = np.empty(lengths.size, np.int32)
        for row in self.rows.tolist():
            mine = self.of_row(row)
            shared[row] = present[mine].sum(axis=0, dtype=np.int32)
            saved[row] = np.count_nonzero(self.counts[self.panel_of[row], mine] == 1)
        for panel in range(self.panels.shape[0]):
            self._visit(panel, lengths, shared, saved)

    def _visit(self, panel: int, lengths: Array, shared: Array, saved: Array) -> None:
        mine = self.panels[panel]
        mine = mine[mine >= 0]
        # What the panel would load more for another row, and another panel for one of these.
        others = saved[self.rows] - lengths[self.rows] + shared[self.rows, panel]
        own = saved[mine] - lengths[mine]
        gain = own[:, np.newaxis] + shared[mine][:, self.panel_of[self.rows]] + others
        gain[~self._allowed(panel, mine, lengths)] = 0
        promising = np.flatnonzero(gain > 0)
        best = promising[np.argsort(-gain.ravel()[promising], kind="stable")]
        for place in best[: _TRIES_PER_ROW * mine.size].tolist():
            i, j = divmod(place, self.rows.size)
            self._trade(int(mine[i]), int(self.rows[j]), panel)

    def _allowed(self, panel: int, mine: Array, lengths: Array) -> Array:
        """For each row of a panel and each row at all: whether a trade keeps both panels even."""
        there = self.panel_of[self.rows]
        more = lengths[self.rows] - lengths[mine][:, np.newaxis]
        away = self.nonzeros - self.mean
        most = np.maximum(_UNEVENNESS * self.mean, np.abs(away))
        even = np.abs(away[panel] + more) <= most[panel]
        even &= np.abs(away[there] - more) <= most[there]
        return even & (there != panel)

    def _trade(self, row: int, other: int, panel: int) -> None:
        """Exchange two rows if `row` is still in `panel`, it helps and keeps panels even."""
        there = int(self.panel_of[other])
        if self.panel_of[row] != panel or there == panel:
            return
        mine, theirs = self._differences(self.of_row(row), self.of_row(other))
        here, away = self.counts[panel], self.counts[there]
        gain = np.count_nonzero(here[mine] == 1) - np.count_nonzero(away[mine] == 0)
        gain += np.count_nonzero(away[theirs] == 1) - np.count_nonzero(here[theirs] == 0)
        more = theirs.size - mine.size
        if gain <= 0 or not (self._is_even(panel, more) and self._is_even(there, -more)):
            return
        here[mine] -= 1
        away[mine] += 1
        here[theirs] += 1
        away[theirs] -= 1
        self.nonzeros[panel] += more
        self.nonzeros[there] -= more
        self.panel_of[row], self.panel_of[other] = there, panel
        slots = int(self.slot_of[row]), int(self.slot_of[other])
        self.slot_of[other], self.slot_of[row] = slots
        self.panels[panel, slots[0]], self.panels[there, slots[1]] = other, row

    def _differences(self, one: Array, other: Array) -> tuple[Array, Array]:
        """The columns of each that the other lacks."""
        marks = np.zeros(self.counts.shape[1], np.bool_)
        marks[other] = True
        only_one = one[~marks[one]]
        marks[other] = False
        marks[one] = True
        return only_one, other[~marks[other]]

    def _is_even(self, panel: int, more: int) -> bool:
        """Whether a panel with so many nonzeros more is even enough, or more even than it was."""
        away = self.nonzeros[panel] - self.mean
        return abs(away + more) <= max(_UNEVENNESS * self.mean, abs(away))
