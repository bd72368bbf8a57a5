"""What the threads of a kernel do that has the matrix as code: which columns, what meets whom."""

from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from sparsert_ir.building import Code, Values, workgroup_buffer
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import ColumnTilesOp, FirstColumnOp, PanelProductOp
from sparsert_ir.gpu.cluster_sums import ClusterSums
from sparsert_ir.gpu.code_place import Position
from sparsert_ir.gpu.code_results import CodeResults
from sparsert_ir.gpu.depthwise_stage import BETWEEN, DepthwiseStage
from sparsert_ir.gpu.overlap import await_kernel_before, launch_dependents
from sparsert_ir.gpu.partial_sums import PARTIAL_SUMS, partial_sums_type, write_split
from sparsert_ir.gpu.staging import insert_if
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.schedule import Schedule


@dataclass(frozen=True)
class CodeBody:
    """Writes the code of all threads.

    buffers: the kernel's arguments, y the last one.
    """

    product: ProductFunction
    buffers: Values

    @property
    def _schedule(self) -> Schedule:
        return self.product.schedule

    @property
    def _stage(self) -> DepthwiseStage | None:
        """What is computed before the product, where there is something."""
        return DepthwiseStage.of(self.product)

    @property
    def _x(self) -> SSAValue:
        return self.buffers[self.product.position(self.product.product.x)]

    @property
    def _results(self) -> CodeResults:
        return CodeResults(self.product, self.buffers)

    def globals(self) -> list[Operation]:
        """The tables and the workgroup memory that the code refers to."""
        schedule, stage = self._schedule, self._stage
        found: list[Operation] = []
        if stage is not None:
            found.append(workgroup_buffer(BETWEEN, stage.buffer_type()))
        if schedule.k_parts > 1:
            found += self._results.tables()
        if schedule.k_groups > 1:
            found.append(workgroup_buffer(PARTIAL_SUMS, partial_sums_type(self.product)))
        if schedule.cluster > 1:
            found += ClusterSums(self.product).buffers()
        return found

    def write(self, code: Code) -> None:
        schedule = self._schedule
        if schedule.cluster > 1:
            ClusterSums(self.product).open(code)
        await_kernel_before(code, schedule)
        if schedule.k_parts == 1:
            launch_dependents(code, schedule)
        column_block = code.insert(gpu.BlockIdOp("x" if schedule.block_order == "columns" else "y"))
        where = Position.of(self.product, code)
        if schedule.column_tiles == 1:
            self._write_tile(code, column_block, where)
            return
        across = schedule.threads
        tiles = code.insert(ColumnTilesOp(self.product.columns, across))
        stride = code.insert(ColumnTilesOp(self.product.columns, across * schedule.column_tiles))

        def one_tile(inner: Code, tile: SSAValue) -> None:
            self._write_tile(inner, tile, where)
            if schedule.k_groups > 1 or schedule.staging != "none" or self._stage is not None:
                inner.do(gpu.BarrierOp())

        code.loop(column_block, tiles, stride, one_tile)

    def _write_tile(self, code: Code, tile: SSAValue, where: Position) -> None:
        schedule = self._schedule
        lane = code.add(code.multiply(tile, code.index(schedule.threads)), where.thread)
        column = code.insert(FirstColumnOp(lane))
        inside = code.compare(column, "ult", code.index(self.product.columns))
        if self._stage is not None:
            # All threads of the block, whatever panel they have.
            here = code.select(inside, column, code.index(0))
            worker = where.worker(code, schedule.k_groups)
            self._stage.write(code, self._x, here, worker, where.thread)
            code.do(gpu.BarrierOp())
        if where.valid_panel is not None:
            inside = code.both(inside, where.valid_panel)
        if schedule.staging != "none":
            self._write_staged(code, tile, column, inside, where)
        elif schedule.k_parts == 1:
            code.when(inside, lambda inner: self._write_whole(inner, column, where))
        else:
            self._write_parts(code, column, inside, where)

    def _write_whole(self, code: Code, column: SSAValue, where: Position) -> None:
        sums = self._panel_product(code, column, where)
        code.do(self._results.panel(sums, column, where.panel))

    def _write_staged(
        self, code: Code, tile: SSAValue, column: SSAValue, inside: SSAValue, where: Position
    ) -> None:
        """The product by all threads, which copy x together."""
        first = code.multiply(tile, code.index(self._schedule.threads))
        first_column = code.insert(FirstColumnOp(first))
        here = code.select(inside, column, first_column)
        sums = self._panel_product(code, here, where, first_column)
        insert_if(code, inside, self._results.panel(sums, column, where.panel))

    def _write_parts(self, code: Code, column: SSAValue, inside: SSAValue, where: Position) -> None:
        """The product by all threads, which add up the parts of K together."""
        clamped = code.select(inside, column, code.index(0))
        sums = self._panel_product(code, clamped, where)
        finish = self._results.finisher(code, column, inside, where.panel)
        if where.rank is None:
            write_split(self.product, code, sums, where, finish)
        else:
            ClusterSums(self.product).write(code, sums, where, where.rank, finish)

    def _panel_product(
        self, code: Code, column: SSAValue, where: Position, tile: SSAValue | None = None
    ) -> Values:
        """tile: first column of the block, where x is staged."""
        product, op = self.product, self.product.product
        weight = code.insert(product.constant.clone())
        part = where.group
        if where.rank is not None:
            groups = code.index(self._schedule.k_groups)
            part = code.add(code.multiply(where.rank, groups), where.group)
        x, window, fold = self._x, op.window, product.fold
        if self._stage is not None:
            # In the element type of the sums already.
            x, window, fold = code.table(BETWEEN, self._stage.buffer_type()), None, None
            column = code.insert(FirstColumnOp(where.thread))
        return code.do(
            PanelProductOp(
                weight,
                x,
                column,
                where.panel,
                part,
                op.panels,
                op.splits,
                product.sum_type,
                fold,
                window,
                tile=tile,
            )
        )
