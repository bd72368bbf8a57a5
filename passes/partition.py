"""sparsert-partition: deal the rows of each product to row panels (register tiles)."""

from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from sparsert_ir.dense import to_dense
from sparsert_ir.dialects.sparsert import (
    ScheduleAttr,
    TiledSpmmOp,
    Untiled,
)
from sparsert_ir.errors import ScheduleError
from sparsert_ir.kernel_function import constant_weight
from sparsert_ir.layout.dealing import deal_rows
from sparsert_ir.layout.partition import whole_splits
from sparsert_ir.schedule import Schedule

_TALLEST_DATA_PANEL = 1024


def _check_height(schedule: Schedule) -> None:
    """Panels of data are as tall as the schedule says, however few the rows are."""
    if schedule.lowering == "data" and schedule.rows_per_panel > _TALLEST_DATA_PANEL:
        raise ScheduleError(
            f"schedule: with lowering = data, rows_per_panel must be at most {_TALLEST_DATA_PANEL},"
            f" got {schedule.rows_per_panel}"
        )


@dataclass(frozen=True)
class PartitionRows(RewritePattern):
    """spmm, conv2d, separable_conv2d == tiled_spmm, whatever the order of its rows"""

    rows_per_panel: int | None

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: Untiled, rewriter: PatternRewriter) -> None:
        schedule = Schedule() if op.schedule is None else op.schedule.data
        if self.rows_per_panel is not None:
            schedule = replace(schedule, rows_per_panel=self.rows_per_panel)
        constant = constant_weight(op.weight, "sparsert-partition")
        _check_height(schedule)
        offsets, indices, _ = constant.arrays()
        panels = deal_rows(offsets, indices, schedule)
        splits = whole_splits(panels.shape[0], constant.shape[1])
        tiled = TiledSpmmOp(op, ScheduleAttr(schedule), to_dense(panels), to_dense(splits))
        rewriter.replace(op, tiled)


@dataclass(frozen=True)
class Partition(ModulePass):
    """Turn `spmm`, `conv2d` and `separable_conv2d` into `tiled_spmm`: panels of at most
    `rows-per-panel` rows (default: the schedule's); one K group. Panels that become code get about
    as many nonzeros each and, if the schedule's permutation is "clustered", rows that share
    columns; panels that become data hold rows of about the same length, since their rows advance
    together.

    Requires: weights made by `sparsert.constant`.
    Guarantees: no spmm, conv2d or separable_conv2d is left.
    """

    name = "sparsert-partition"

    rows_per_panel: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pattern = PartitionRows(self.rows_per_panel)
        PatternRewriteWalker(pattern, apply_recursively=False).rewrite_module(op)
