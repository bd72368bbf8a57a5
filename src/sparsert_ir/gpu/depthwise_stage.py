"""The depthwise convolution of a block's columns on a GPU, before the product that reads it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.building import Code, array_type
from sparsert_ir.dense import IntArray, to_dense
from sparsert_ir.dialects.sparsert import ConstantOp, FirstColumnOp, PanelProductOp, WritePanelOp
from sparsert_ir.gpu_facts import WORKGROUP
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.layout.partition import whole_splits

BETWEEN = "between"
"""The block's columns of what is between the two convolutions, in workgroup memory."""

_TALLEST_PANEL = 16


def stage_panel_height(channels: int, workers: int) -> int:
    """Rows of the panels in which the channels are dealt to the workers."""
    return min(_TALLEST_PANEL, -(-channels // workers))


@dataclass(frozen=True)
class DepthwiseStage:
    """Each thread computes its own columns of some channels, which are dealt in panels to the
    threads of the same columns: K groups and panels of the product after it.
    """

    product: ProductFunction
    filter: ConstantOp

    @classmethod
    def of(cls, product: ProductFunction) -> "DepthwiseStage | None":
        """None where there is no depthwise convolution."""
        return None if product.depthwise is None else cls(product, product.depthwise)

    @property
    def workers(self) -> int:
        """Threads that share a column."""
        schedule = self.product.schedule
        return schedule.k_groups * schedule.panels_per_block

    @cached_property
    def panels(self) -> IntArray:
        """P x R rows of the filter in order, as many panels for each worker; filled up with -1."""
        rows = self.filter.shape[0]
        height = stage_panel_height(rows, self.workers)
        count = -(-rows // height)
        panels: IntArray = np.full(count * height, -1, np.int32)
        panels[:rows] = np.arange(rows)
        return panels.reshape(count, height)

    def buffer_type(self) -> MemRefType[Attribute]:
        shape = [self.filter.shape[0], self.product.schedule.threads]
        return array_type(shape, self.product.sum_type, WORKGROUP)

    def write(
        self, code: Code, x: SSAValue, column: SSAValue, worker: SSAValue, thread: SSAValue
    ) -> None:
        """Fill the thread's lane of the buffer; a barrier must follow.

        column: first column of x's window, inside. worker: the thread's number among those of the
        same columns, thread: its number along them.
        """
        op = self.product.product
        between = code.table(BETWEEN, self.buffer_type())
        place = code.insert(FirstColumnOp(thread))
        panels = to_dense(self.panels)

        def one_panel(inner: Code, panel: SSAValue) -> None:
            sums = inner.do(
                PanelProductOp(
                    inner.insert(self.filter.clone()),
                    x,
                    column,
                    panel,
                    inner.index(0),
                    panels,
                    to_dense(whole_splits(self.panels.shape[0], self.filter.shape[1])),
                    self.product.sum_type,
                    self.product.fold,
                    op.window,
                )
            )
            inner.do(
                WritePanelOp(
                    sums,
                    between,
                    place,
                    panel,
                    panels,
                    bias=self.product.depthwise_bias(),
                    activation=op.depthwise_activation,
                )
            )

        count = code.index(self.panels.shape[0])
        code.loop(worker, count, code.index(self.workers), one_panel)
