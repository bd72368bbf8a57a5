"""Where a kernel that has the matrix as code writes y: a whole panel, or row by row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.dialects import arith
from xdsl.dialects.builtin import i32
from xdsl.ir import Operation, SSAValue

from sparsert_ir.building import Code, Values, array_type, constant_table
from sparsert_ir.dialects.sparsert import WritePanelOp
from sparsert_ir.epilogue import RowWriter
from sparsert_ir.gpu_facts import CONSTANT
from sparsert_ir.kernel_function import ProductFunction

PANEL_ROWS = "panel_rows"
BIAS = "bias"
_CONSTANT_MEMORY_BYTES = 48 * 1024

Finisher: TypeAlias = Callable[[Code, SSAValue, SSAValue], None]
"""Writes a row of the panel, given its place there and its total."""


@dataclass(frozen=True)
class CodeResults:
    """buffers: the kernel's arguments, y the last one."""

    product: ProductFunction
    buffers: Values

    def tables(self) -> list[Operation]:
        """What a `finisher` reads."""
        panels, bias = self.product.product.panels, self.product.bias()
        tables: list[Operation] = [constant_table(PANEL_ROWS, panels, self._table_space())]
        if bias is not None:
            tables.append(constant_table(BIAS, bias, self._table_space()))
        return tables

    def _table_space(self) -> int | None:
        """Constant memory while the tables fit there."""
        rows = self.product.panel_count * self.product.panel_height
        return CONSTANT if 8 * rows <= _CONSTANT_MEMORY_BYTES else None

    def panel(self, sums: Values, column: SSAValue, panel: SSAValue) -> WritePanelOp:
        """What writes all rows of a panel."""
        op = self.product.product
        return WritePanelOp(
            sums,
            self.buffers[-1],
            column,
            panel,
            op.panels,
            bias=self.product.bias(),
            activation=op.activation,
            residual=self._residual,
            residual_after_activation=op.residual_after_activation,
            streaming=self._streaming,
            window=self.product.result_window,
        )

    def finisher(self, code: Code, column: SSAValue, inside: SSAValue, panel: SSAValue) -> Finisher:
        """What writes the total of a row of the panel, if there is such a row and column."""
        rows_type = array_type(self.product.product.panels.get_shape(), i32, self._table_space())
        rows = code.table(PANEL_ROWS, rows_type)
        writer = self._row_writer(code)

        def finish(inner: Code, row: SSAValue, total: SSAValue) -> None:
            number = inner.load(rows, panel, row)
            present = inner.compare(
                number, "sge", inner.insert(arith.ConstantOp.from_int_and_width(0, 32))
            )
            inner.when(
                inner.both(present, inside),
                lambda last: writer.write(last, total, last.as_index(number), column),
            )

        return finish

    def _row_writer(self, code: Code) -> RowWriter:
        op, bias = self.product.product, self.product.bias()
        table = None
        if bias is not None:
            kind = array_type(bias.get_shape(), self.product.sum_type, self._table_space())
            table = code.table(BIAS, kind)
        return RowWriter(
            y=self.buffers[-1],
            residual=self._residual,
            bias_table=table,
            activation=op.activation,
            residual_after_activation=op.residual_after_activation,
            streaming=self._streaming,
            window=self.product.result_window,
        )

    @property
    def _residual(self) -> SSAValue | None:
        residual = self.product.product.residual
        return None if residual is None else self.buffers[self.product.position(residual)]

    @property
    def _streaming(self) -> bool:
        return self.product.schedule.stores == "streaming"
