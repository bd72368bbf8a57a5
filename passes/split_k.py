"""sparsert-split-k: split each panel's columns into groups that different threads sum."""

from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from sparsert_ir.dense import to_dense, to_numpy
from sparsert_ir.dialects.sparsert import ScheduleAttr, TiledSpmmOp
from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu_facts import BLOCK_THREADS
from sparsert_ir.kernel_function import constant_weight
from sparsert_ir.layout.partition import balanced_splits


@dataclass(frozen=True)
class SplitK(ModulePass):
    """Give each panel of a `tiled_spmm` `groups` K groups (default: the schedule's) for each block
    of a cluster, all with about as many nonzeros. The groups' sums are later added in ascending
    order, those of a block first, then the blocks' sums: results repeat.

    Requires: `tiled_spmm` on a `sparsert.constant`.
    Guarantees: `splits` has `groups` * `cluster` + 1 columns, and the schedule says so.
    """

    name = "sparsert-split-k"

    groups: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for tiled in [inner for inner in op.walk() if isinstance(inner, TiledSpmmOp)]:
            self._split(tiled)

    def _split(self, tiled: TiledSpmmOp) -> None:
        schedule = tiled.schedule.data
        if self.groups is not None:
            schedule = replace(schedule, k_groups=self.groups)
        if schedule.k_groups > BLOCK_THREADS:
            raise ScheduleError(
                f"schedule: k_groups must be at most {BLOCK_THREADS}, the threads of a block, got"
                f" {schedule.k_groups}"
            )
        constant = constant_weight(tiled.weight, self.name)
        offsets, indices, _ = constant.arrays()
        panels = to_numpy(tiled.panels)
        splits = balanced_splits(offsets, indices, panels, schedule.k_parts, constant.shape[1])
        tiled.properties["splits"] = to_dense(splits)
        tiled.properties["schedule"] = ScheduleAttr(schedule)
