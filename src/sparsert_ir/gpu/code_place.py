"""Where a thread works in a kernel that has the matrix as code."""

from dataclasses import dataclass

from xdsl.ir import SSAValue

from sparsert_ir.building import Code
from sparsert_ir.dialects import gpu
from sparsert_ir.kernel_function import ProductFunction


@dataclass(frozen=True)
class Position:
    """A thread's panel and group, its place in the block, whether its panel exists.

    group:       of the block's K groups.
    rank:        of the block among those of its cluster; None without clusters.
    slot:        of the panel among those of the block.
    thread:      number along the columns.
    valid_panel: None: every thread's panel exists.
    """

    panel: SSAValue
    group: SSAValue
    rank: SSAValue | None
    slot: SSAValue
    thread: SSAValue
    valid_panel: SSAValue | None

    @classmethod
    def of(cls, product: ProductFunction, code: Code) -> "Position":
        """Writes to `code` where a thread is."""
        schedule = product.schedule
        panel = code.insert(gpu.BlockIdOp("y" if schedule.block_order == "columns" else "x"))
        thread = code.insert(gpu.ThreadIdOp("x"))
        zero = code.index(0)
        group = code.insert(gpu.ThreadIdOp("y")) if schedule.k_groups > 1 else zero
        rank = cluster_rank(code) if schedule.cluster > 1 else None
        slot, valid = zero, None
        if schedule.panels_per_block > 1:
            slot = code.insert(gpu.ThreadIdOp("z"))
            panel = code.add(code.multiply(panel, code.index(schedule.panels_per_block)), slot)
            if product.panel_count % schedule.panels_per_block:
                valid = code.compare(panel, "ult", code.index(product.panel_count))
                panel = code.minimum(panel, code.index(product.panel_count - 1))
        return cls(panel, group, rank, slot, thread, valid)

    def worker(self, code: Code, k_groups: int) -> SSAValue:
        """The thread's number among those of the same columns."""
        return code.add(code.multiply(self.slot, code.index(k_groups)), self.group)


def cluster_rank(code: Code) -> SSAValue:
    """Of the block in its cluster: the grid is one cluster deep."""
    return code.insert(gpu.BlockIdOp("z"))
