"""How rows are dealt to panels for each lowering."""

from sparsert_ir.dense import Array, IntArray
from sparsert_ir.packing import similar_panels
from sparsert_ir.partition import balanced_panels
from sparsert_ir.schedule import Lowering


def deal_rows(row_lengths: Array, lowering: Lowering, rows_per_panel: int) -> IntArray:
    """P x R row numbers, filled up with -1.

    Panels that become code get about as many nonzeros each; panels that become data hold rows of
    about the same length, since their rows advance together.
    """
    deal = balanced_panels if lowering == "code" else similar_panels
    return deal(row_lengths, rows_per_panel)
