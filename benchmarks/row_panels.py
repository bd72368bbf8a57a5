"""What clustered row panels save and how even they are; no GPU needed.

    python benchmarks/row_panels.py --suite dlmc --path DIRECTORY
    python benchmarks/row_panels.py --suite shapes --rows 4 8

Counts the loads of x of all panels together (`sparsert_ir.layout.dealing.touched_columns`) with
clustered panels over those with balanced ones, and the nonzeros of the busiest panel over the mean
of all panels: geometric means over the matrices of a suite that have more than one panel.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cases import SUITES, Case, cases_of, select
from markdown import table
from sparsert_ir.dense import IntArray
from sparsert_ir.layout.clustering import clustered_panels
from sparsert_ir.layout.dealing import touched_columns
from sparsert_ir.layout.partition import balanced_panels
from sparsert_ir.matrix import SparseMatrix

_ROWS = (4, 8, 16, 32, 47, 94)


@dataclass(frozen=True)
class Dealing:
    """Of one matrix to panels of one height: loads, clustered over balanced, and the busiest panel
    over the mean, balanced and clustered; seconds that clustering took.
    """

    loads: float
    balanced: float
    clustered: float
    seconds: float


def deal(matrix: SparseMatrix, rows_per_panel: int) -> Dealing | None:
    """None where one panel holds all rows, or there is nothing in them."""
    if rows_per_panel >= matrix.shape[0] or not matrix.nonzeros:
        return None
    balanced = balanced_panels(matrix.row_lengths, rows_per_panel)
    begin = time.perf_counter()
    clustered = clustered_panels(matrix.row_offsets, matrix.column_indices, rows_per_panel)
    seconds = time.perf_counter() - begin
    loads = [
        int(touched_columns(matrix.row_offsets, matrix.column_indices, panels).sum())
        for panels in (balanced, clustered)
    ]
    busiest = [_busiest(matrix, panels) for panels in (balanced, clustered)]
    return Dealing(loads[1] / loads[0], busiest[0], busiest[1], seconds)


def _busiest(matrix: SparseMatrix, panels: IntArray) -> float:
    """Nonzeros of the panel that has most, over the mean."""
    lengths = np.append(matrix.row_lengths, 0)
    nonzeros = lengths[panels].sum(1)
    return float(nonzeros.max() / nonzeros.mean())


def deal_all(cases: Sequence[Case], heights: Sequence[int]) -> list[list[str]]:
    """A row of the table for each suite, sparsity and height."""
    found: defaultdict[tuple[str, float, int], list[Dealing]] = defaultdict(list)
    seen: set[tuple[str, float, str]] = set()
    for case in cases:
        # The number of columns of x changes nothing here.
        if (case.suite, case.sparsity, case.name) in seen:
            continue
        seen.add((case.suite, case.sparsity, case.name))
        matrix = case.matrix("f32")
        for height in heights:
            dealing = deal(matrix, height)
            if dealing is not None:
                found[case.suite, case.sparsity, height].append(dealing)
    return [_row(*group, dealings) for group, dealings in sorted(found.items())]


def _row(suite: str, sparsity: float, height: int, dealings: list[Dealing]) -> list[str]:
    def mean(name: str) -> float:
        return float(np.exp(np.mean(np.log([getattr(one, name) for one in dealings]))))

    def most(name: str) -> float:
        return max(getattr(one, name) for one in dealings)

    return [
        suite,
        f"{sparsity:.0%}",
        str(height),
        str(len(dealings)),
        f"{mean('loads'):.2f}",
        *(f"{mean(name):.3f} ({most(name):.3f})" for name in ("balanced", "clustered")),
        f"{most('seconds'):.2f}",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", choices=SUITES, default="shapes")
    parser.add_argument("--path", type=Path, help="directory of the suite's data")
    parser.add_argument("--only", nargs="*", default=[], help="parts of labels to keep")
    parser.add_argument("--limit", type=int, help="cases at most")
    parser.add_argument("--rows", type=int, nargs="+", default=list(_ROWS), help="per panel")
    options = parser.parse_args(arguments)
    cases = select(cases_of(options.suite, options.path), options.only, options.limit)
    head = ["suite", "zeros", "rows", "matrices", "loads"]
    head += ["busiest, balanced (most)", "busiest, clustered (most)", "seconds, most"]
    print(table(head, deal_all(cases, options.rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
