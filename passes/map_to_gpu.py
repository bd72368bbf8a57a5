"""sparsert-map-to-gpu: a grid of thread blocks computes the panels of a product."""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, func
from xdsl.dialects.builtin import (
    MemRefType,
    ModuleOp,
    SymbolRefAttr,
    UnitAttr,
    i32,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from sparsert_ir.building import Code, array_type, constant_table, workgroup_buffer
from sparsert_ir.dialects import gpu, nvvm
from sparsert_ir.dialects.sparsert import (
    ColumnTilesOp,
    FirstColumnOp,
    LoadColumnsOp,
    PanelProductOp,
    StoreColumnsOp,
    WritePanelOp,
)
from sparsert_ir.epilogue import RowWriter
from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu_facts import BLOCK_THREADS, CONSTANT, STATIC_SHARED_MEMORY, WORKGROUP
from sparsert_ir.kernel_function import ProductFunction, product_functions

PARTIAL_SUMS = "partial_sums"
PANEL_ROWS = "panel_rows"
BIAS = "bias"
_CONSTANT_MEMORY_BYTES = 48 * 1024


class MapToGpu(ModulePass):
    """Turn each function of one `tiled_spmm` into a kernel in a `gpu.module` and its launch.

    A block has threads x K groups x panels; a thread computes one column of one panel over one K
    group. With K groups the partial sums meet in workgroup memory, and the threads of the block
    share the rows of the panel to add them up in order, apply the epilogue and store.

    Requires: a fused epilogue (`sparsert-fuse-epilogue`), `sparsert-partition` and, for K groups,
    `sparsert-split-k`; functions whose body is one product.
    Guarantees: memrefs instead of tensors, y the last one; every lane one column wide.
    """

    name = "sparsert-map-to-gpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for product in product_functions(op, self.name):
            module = KernelBuilder(product).build()
            op.body.block.insert_op_after(module, product.function)
            _replace_body_with_launch(product, module.sym_name.data)
            op.attributes["gpu.container_module"] = UnitAttr()


def _launch_shape(product: ProductFunction) -> tuple[int, int, int]:
    schedule = product.schedule
    return schedule.threads, schedule.k_groups, schedule.panels_per_block


def _replace_body_with_launch(product: ProductFunction, module_name: str) -> None:
    schedule = product.schedule
    types = product.buffer_types()
    block = Block(arg_types=types)
    code = Code(block)
    across = schedule.threads * schedule.column_tiles
    columns = code.insert(ColumnTilesOp(product.columns, across))
    panels = code.index(-(-product.panel_count // schedule.panels_per_block))
    one = code.index(1)
    grid = [columns, panels, one] if schedule.block_order == "columns" else [panels, columns, one]
    threads = [code.index(size) for size in _launch_shape(product)]
    kernel = SymbolRefAttr(module_name, [product.name])
    code.do(gpu.LaunchFuncOp(kernel, grid, threads, block.args))
    code.do(func.ReturnOp())
    old = product.function
    new = func.FuncOp(product.name, (types, []), Region(block))
    parent = old.parent_block()
    assert parent is not None
    parent.insert_op_before(new, old)
    old.detach()
    old.erase()


@dataclass(frozen=True)
class Position:
    """Where a thread works: its panel and group, its place in the block, whether it exists."""

    panel: SSAValue
    group: SSAValue
    slot: SSAValue
    thread: SSAValue
    valid_panel: SSAValue | None


@dataclass(frozen=True)
class KernelBuilder:
    """Writes the kernel of one product."""

    product: ProductFunction

    def build(self) -> gpu.ModuleOp:
        product = self.product
        _check_launch(product)
        types = product.buffer_types()
        block = Block(arg_types=types)
        code = Code(block)
        self._write_body(code, block)
        code.do(gpu.ReturnOp())
        kernel = gpu.FuncOp(product.name, types, Region(block), _launch_shape(product))
        kernel.attributes["sparsert.schedule"] = product.schedule_attr()
        contents: list[Operation] = [*self._globals(), kernel]
        return gpu.ModuleOp(f"{product.name}_kernels", Region(Block(contents)))

    def _globals(self) -> list[Operation]:
        if self.product.schedule.k_groups == 1:
            return []
        tables: list[Operation] = [
            constant_table(PANEL_ROWS, self.product.product.panels, self._table_space())
        ]
        if (bias := self.product.bias()) is not None:
            tables.append(constant_table(BIAS, bias, self._table_space()))
        return [*tables, workgroup_buffer(PARTIAL_SUMS, self.partial_sums_type())]

    def _table_space(self) -> int | None:
        """Constant memory while the tables fit there."""
        rows = self.product.panel_count * self.product.panel_height
        return CONSTANT if 8 * rows <= _CONSTANT_MEMORY_BYTES else None

    def partial_sums_type(self) -> MemRefType[Attribute]:
        schedule = self.product.schedule
        groups = schedule.panels_per_block * schedule.k_groups
        shape = [groups, self.product.panel_height, schedule.threads]
        return array_type(shape, self.product.sum_type, WORKGROUP)

    def _write_body(self, code: Code, block: Block) -> None:
        schedule = self.product.schedule
        if schedule.launch == "overlapped":
            code.do(nvvm.GridWaitOp())
            if schedule.k_groups == 1:
                code.do(nvvm.GridLaunchDependentsOp())
        order = ("x", "y") if schedule.block_order == "columns" else ("y", "x")
        column_block = code.insert(gpu.BlockIdOp(order[0]))
        position = self._position(code, order[1])
        if schedule.column_tiles == 1:
            self._write_tile(code, block, column_block, position)
            return
        tiles = code.insert(ColumnTilesOp(self.product.columns, schedule.threads))
        stride = code.insert(
            ColumnTilesOp(self.product.columns, schedule.threads * schedule.column_tiles)
        )

        def one_tile(inner: Code, tile: SSAValue) -> None:
            self._write_tile(inner, block, tile, position)
            if schedule.k_groups > 1:
                inner.do(gpu.BarrierOp())

        code.loop(column_block, tiles, stride, one_tile)

    def _position(self, code: Code, panel_dimension: str) -> Position:
        schedule = self.product.schedule
        panel = code.insert(gpu.BlockIdOp(panel_dimension))
        thread = code.insert(gpu.ThreadIdOp("x"))
        zero = code.index(0)
        group = code.insert(gpu.ThreadIdOp("y")) if schedule.k_groups > 1 else zero
        slot, valid = zero, None
        if schedule.panels_per_block > 1:
            slot = code.insert(gpu.ThreadIdOp("z"))
            panel = code.add(code.multiply(panel, code.index(schedule.panels_per_block)), slot)
            if self.product.panel_count % schedule.panels_per_block:
                valid = code.compare(panel, "ult", code.index(self.product.panel_count))
                panel = code.minimum(panel, code.index(self.product.panel_count - 1))
        return Position(panel, group, slot, thread, valid)

    def _write_tile(self, code: Code, block: Block, tile: SSAValue, where: Position) -> None:
        lane = code.add(
            code.multiply(tile, code.index(self.product.schedule.threads)), where.thread
        )
        column = code.insert(FirstColumnOp(lane))
        inside = code.compare(column, "ult", code.index(self.product.columns))
        if where.valid_panel is not None:
            inside = code.both(inside, where.valid_panel)
        if self.product.schedule.k_groups == 1:
            code.when(inside, lambda inner: self._write_whole(inner, block, column, where))
        else:
            self._write_split(code, block, column, inside, where)

    def _write_whole(self, code: Code, block: Block, column: SSAValue, where: Position) -> None:
        op, schedule = self.product.product, self.product.schedule
        sums = self._panel_product(code, block, column, where)
        code.do(
            WritePanelOp(
                sums,
                block.args[-1],
                column,
                where.panel,
                op.panels,
                bias=self.product.bias(),
                activation=op.activation,
                residual=self._residual(block),
                residual_after_activation=op.residual_after_activation,
                streaming=schedule.stores == "streaming",
                window=self.product.result_window,
            )
        )

    def _panel_product(self, code: Code, block: Block, column: SSAValue, where: Position):
        product, op = self.product, self.product.product
        weight = code.insert(product.constant.clone())
        return code.do(
            PanelProductOp(
                weight,
                block.args[product.position(op.x)],
                column,
                where.panel,
                where.group,
                op.panels,
                op.splits,
                product.sum_type,
                product.fold,
                op.window,
            )
        )

    def _residual(self, block: Block) -> SSAValue | None:
        residual = self.product.product.residual
        return None if residual is None else block.args[self.product.position(residual)]

    def _write_split(
        self, code: Code, block: Block, column: SSAValue, inside: SSAValue, where: Position
    ) -> None:
        """Store partial sums, wait, then let K group g finish rows g, g + groups, ..."""
        product, schedule = self.product, self.product.schedule
        zero = code.index(0)
        sums = self._panel_product(code, block, code.select(inside, column, zero), where)
        buffer = code.table(PARTIAL_SUMS, self.partial_sums_type())
        shared_column = code.insert(FirstColumnOp(where.thread))
        groups = code.index(schedule.k_groups)
        first_group = code.multiply(where.slot, groups)
        mine = code.add(first_group, where.group)
        for row, total in enumerate(sums):
            code.do(StoreColumnsOp(total, buffer, [mine, code.index(row), shared_column]))
        code.do(gpu.BarrierOp())
        if schedule.launch == "overlapped":
            # Not earlier: blocks of the next kernel would take the places of this one's.
            code.do(nvvm.GridLaunchDependentsOp())
        rows_type = array_type(product.product.panels.get_shape(), i32, self._table_space())
        rows = code.table(PANEL_ROWS, rows_type)
        writer = self._row_writer(code, block)

        def finish(inner: Code, row: SSAValue) -> None:
            total = self._add_groups(inner, buffer, first_group, row, shared_column)
            number = inner.load(rows, where.panel, row)
            present = inner.compare(
                number, "sge", inner.insert(arith.ConstantOp.from_int_and_width(0, 32))
            )
            inner.when(
                inner.both(present, inside),
                lambda last: writer.write(last, total, last.as_index(number), column),
            )

        code.loop(where.group, code.index(product.panel_height), groups, finish)

    def _row_writer(self, code: Code, block: Block) -> RowWriter:
        op, bias = self.product.product, self.product.bias()
        table = None
        if bias is not None:
            kind = array_type(bias.get_shape(), self.product.sum_type, self._table_space())
            table = code.table(BIAS, kind)
        return RowWriter(
            y=block.args[-1],
            residual=self._residual(block),
            bias_table=table,
            activation=op.activation,
            residual_after_activation=op.residual_after_activation,
            streaming=self.product.schedule.stores == "streaming",
            window=self.product.result_window,
        )

    def _add_groups(
        self, code: Code, buffer: SSAValue, first: SSAValue, row: SSAValue, column: SSAValue
    ) -> SSAValue:
        total: SSAValue | None = None
        for group in range(self.product.schedule.k_groups):
            place = [code.add(first, code.index(group)), row, column]
            partial = code.insert(LoadColumnsOp(buffer, place, self.product.sum_type))
            total = partial if total is None else code.insert(arith.AddfOp(total, partial))
        assert total is not None
        return total


def _check_launch(product: ProductFunction) -> None:
    """The limits of every CUDA GPU (CUDA C++ Programming Guide, compute capabilities)."""
    schedule = product.schedule
    if schedule.lowering != "code":
        raise ScheduleError(f"schedule: expected lowering = code here, got {schedule.lowering}")
    product.check_schedule("gpu")
    if schedule.block_threads > BLOCK_THREADS:
        raise ScheduleError(
            "schedule: threads * k_groups * panels_per_block must be at most"
            f" {BLOCK_THREADS}, got {schedule.block_threads}"
        )
    if schedule.panels_per_block > 64:
        raise ScheduleError(
            f"schedule: panels_per_block must be at most 64, got {schedule.panels_per_block}"
        )
    shape = KernelBuilder(product).partial_sums_type().get_shape()
    wide = schedule.columns_per_thread * product.sum_type.bitwidth // 8
    bytes_needed = shape[0] * shape[1] * shape[2] * wide if schedule.k_groups > 1 else 0
    if bytes_needed > STATIC_SHARED_MEMORY:
        raise ScheduleError(
            f"schedule: partial sums must fit in {STATIC_SHARED_MEMORY} bytes of workgroup memory,"
            f" got {bytes_needed} (k_groups * panels_per_block * rows_per_panel * threads *"
            " columns_per_thread * element size)"
        )
