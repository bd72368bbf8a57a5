"""The sums of the blocks of a cluster: sent to the block that finishes the row, added up there."""

from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, Operation, SSAValue

from sparsert_ir.building import Code, Values, array_type, workgroup_buffer
from sparsert_ir.dialects.sparsert import (
    AwaitInboxOp,
    FirstColumnOp,
    OpenInboxOp,
    SendColumnsOp,
)
from sparsert_ir.dialects.sparsert.cluster import SIGNAL
from sparsert_ir.gpu.code_place import Position, cluster_rank
from sparsert_ir.gpu.code_results import Finisher
from sparsert_ir.gpu.overlap import launch_dependents
from sparsert_ir.gpu.partial_sums import PartialSums, add_up, loop_over_rows
from sparsert_ir.gpu_facts import WORKGROUP
from sparsert_ir.kernel_function import ProductFunction

INBOX, SIGNAL_NAME = "inbox", "signal"


def inbox_type(product: ProductFunction) -> MemRefType[Attribute]:
    """The sums of each block of the cluster, for the rows that a block finishes."""
    schedule = product.schedule
    rows = -(-product.panel_height // schedule.cluster)
    shape = [schedule.panels_per_block * schedule.cluster, rows, schedule.threads]
    return array_type(shape, product.sum_type, WORKGROUP)


@dataclass(frozen=True)
class ClusterSums:
    """Each block finishes the rows of every panel whose remainder by the blocks is its rank."""

    product: ProductFunction

    def buffers(self) -> list[Operation]:
        return [
            workgroup_buffer(INBOX, inbox_type(self.product)),
            workgroup_buffer(SIGNAL_NAME, SIGNAL),
        ]

    def _addresses(self, code: Code) -> tuple[SSAValue, SSAValue]:
        return code.table(INBOX, inbox_type(self.product)), code.table(SIGNAL_NAME, SIGNAL)

    def open(self, code: Code) -> None:
        """Touches nothing but the block's memory: the kernel before may still run."""
        schedule = self.product.schedule
        inbox, signal = self._addresses(code)
        last = code.index(self.product.panel_height + schedule.cluster - 1)
        left = code.insert(arith.SubiOp(last, cluster_rank(code)))
        rows = code.insert(arith.DivUIOp(left, code.index(schedule.cluster)))
        senders = code.index(schedule.panels_per_block * schedule.cluster)
        code.do(OpenInboxOp(signal, inbox, code.multiply(rows, senders)))

    def write(
        self, code: Code, sums: Values, where: Position, rank: SSAValue, finish: Finisher
    ) -> None:
        """Send each row's sum to the block that finishes it, then finish rows rank, rank + blocks,
        ... of the panel; K groups share them.
        """
        schedule = self.product.schedule
        inbox, signal = self._addresses(code)
        column = code.insert(FirstColumnOp(where.thread))
        blocks = code.index(schedule.cluster)
        first = code.multiply(where.slot, blocks)
        mine = code.add(first, rank)

        def send(inner: Code, row: SSAValue, total: SSAValue) -> None:
            receiver = inner.insert(arith.RemUIOp(row, blocks))
            place = inner.insert(arith.DivUIOp(row, blocks))
            inner.do(SendColumnsOp(total, inbox, [mine, place, column], receiver, signal))

        if schedule.k_groups == 1:
            for row, total in enumerate(sums):
                send(code, code.index(row), total)
        else:
            own = PartialSums.store(self.product, code, sums, where)

            def send_row(inner: Code, row: SSAValue) -> None:
                send(inner, row, own.total(inner, row))

            loop_over_rows(self.product, code, where.group, schedule.k_groups, send_row)
        code.do(AwaitInboxOp(signal, inbox))
        launch_dependents(code, schedule)

        def finish_row(inner: Code, row: SSAValue) -> None:
            place = inner.insert(arith.DivUIOp(row, blocks))
            places = [
                [inner.add(first, inner.index(sender)), place, column]
                for sender in range(schedule.cluster)
            ]
            finish(inner, row, add_up(self.product, inner, inbox, places))

        begin = code.add(code.multiply(where.group, blocks), rank)
        loop_over_rows(self.product, code, begin, schedule.k_parts, finish_row)
