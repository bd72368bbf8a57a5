"""sparsert-map-to-gpu: a grid of thread blocks computes the panels of a product."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

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

from sparsert_ir.building import Code, Values, array_type, constant_table, workgroup_buffer
from sparsert_ir.dialects import gpu, nvvm
from sparsert_ir.dialects.sparsert import (
    AwaitInboxOp,
    ColumnTilesOp,
    FirstColumnOp,
    LoadColumnsOp,
    OpenInboxOp,
    PanelProductOp,
    SendColumnsOp,
    StoreColumnsOp,
    WritePanelOp,
)
from sparsert_ir.dialects.sparsert.cluster import SIGNAL
from sparsert_ir.epilogue import RowWriter
from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu.depthwise_stage import BETWEEN, DepthwiseStage
from sparsert_ir.gpu.facts import BLOCK_THREADS, CONSTANT, STATIC_SHARED_MEMORY, WORKGROUP
from sparsert_ir.gpu.staging import insert_if
from sparsert_ir.kernel_function import ProductFunction, product_functions
from sparsert_ir.schedule import Schedule

PARTIAL_SUMS = "partial_sums"
INBOX, SIGNAL_NAME = "inbox", "signal"
PANEL_ROWS = "panel_rows"
BIAS = "bias"
_CONSTANT_MEMORY_BYTES = 48 * 1024
_SIGNAL_BYTES = 8

Finisher: TypeAlias = Callable[[Code, SSAValue, SSAValue], None]
"""Writes a row of the panel, given its place there and its total."""


@dataclass(frozen=True)
class MapToGpu(ModulePass):
    """Turn each function of one `tiled_spmm` into a kernel in a `gpu.module` and its launch.

    A block has threads x K groups x panels; a thread computes one column of one panel over one K
    group. With K groups the partial sums meet in workgroup memory, and the threads of the block
    share the rows of the panel to add them up in order, apply the epilogue and store.

    The blocks of a cluster lie along z and share the K groups of the same panels. Each adds up its
    own groups and sends every row's sum to the block that finishes the row, which adds up what it
    got in the order of the blocks.

    A depthwise convolution before the product is computed for the block's columns, all channels,
    dealt to its threads, and left in workgroup memory, from which the product reads.

    All that takes at most `shared-memory` bytes of a block's memory (default: 49152, which every
    GPU has).

    Requires: a fused epilogue (`sparsert-fuse-epilogue`), `sparsert-partition` and, for K groups
    and clusters, `sparsert-split-k`; functions whose body is one product.
    Guarantees: memrefs instead of tensors, y the last one; every lane one column wide.
    """

    name = "sparsert-map-to-gpu"

    shared_memory: int = STATIC_SHARED_MEMORY

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for product in product_functions(op, self.name):
            _check_launch(product)
            _check_memory(product, self.shared_memory)
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
    deep = code.index(schedule.cluster)
    grid = [columns, panels, deep] if schedule.block_order == "columns" else [panels, columns, deep]
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
    """Where a thread works: its panel and group, its place in the block, whether it exists.

    group: of the block's K groups.
    rank:  of the block among those of its cluster; None without clusters.
    """

    panel: SSAValue
    group: SSAValue
    rank: SSAValue | None
    slot: SSAValue
    thread: SSAValue
    valid_panel: SSAValue | None


@dataclass(frozen=True)
class KernelBuilder:
    """Writes the kernel of one product."""

    product: ProductFunction

    @property
    def stage(self) -> DepthwiseStage | None:
        """What is computed before the product, where there is something."""
        return DepthwiseStage.of(self.product)

    def build(self) -> gpu.ModuleOp:
        product = self.product
        types = product.buffer_types()
        block = Block(arg_types=types)
        code = Code(block)
        self._write_body(code, block)
        code.do(gpu.ReturnOp())
        cluster = product.schedule.cluster
        clusters = None if cluster == 1 else (1, 1, cluster)
        kernel = gpu.FuncOp(product.name, types, Region(block), _launch_shape(product), clusters)
        kernel.attributes["sparsert.schedule"] = product.schedule_attr()
        contents: list[Operation] = [*self._globals(), kernel]
        return gpu.ModuleOp(f"{product.name}_kernels", Region(Block(contents)))

    def _globals(self) -> list[Operation]:
        schedule, stage = self.product.schedule, self.stage
        tables: list[Operation] = []
        if stage is not None:
            tables.append(workgroup_buffer(BETWEEN, stage.buffer_type()))
        if schedule.k_parts == 1:
            return tables
        tables.append(constant_table(PANEL_ROWS, self.product.product.panels, self._table_space()))
        if (bias := self.product.bias()) is not None:
            tables.append(constant_table(BIAS, bias, self._table_space()))
        if schedule.k_groups > 1:
            tables.append(workgroup_buffer(PARTIAL_SUMS, self.partial_sums_type()))
        if schedule.cluster > 1:
            tables.append(workgroup_buffer(INBOX, self.inbox_type()))
            tables.append(workgroup_buffer(SIGNAL_NAME, SIGNAL))
        return tables

    def _table_space(self) -> int | None:
        """Constant memory while the tables fit there."""
        rows = self.product.panel_count * self.product.panel_height
        return CONSTANT if 8 * rows <= _CONSTANT_MEMORY_BYTES else None

    def partial_sums_type(self) -> MemRefType[Attribute]:
        schedule = self.product.schedule
        groups = schedule.panels_per_block * schedule.k_groups
        shape = [groups, self.product.panel_height, schedule.threads]
        return array_type(shape, self.product.sum_type, WORKGROUP)

    def inbox_type(self) -> MemRefType[Attribute]:
        """The sums of each block of the cluster, for the rows that a block finishes."""
        schedule = self.product.schedule
        rows = -(-self.product.panel_height // schedule.cluster)
        shape = [schedule.panels_per_block * schedule.cluster, rows, schedule.threads]
        return array_type(shape, self.product.sum_type, WORKGROUP)

    def _write_body(self, code: Code, block: Block) -> None:
        schedule = self.product.schedule
        if schedule.cluster > 1:
            # While the kernel before may still run: it touches nothing but this block's memory.
            self._open_inbox(code)
        if schedule.launch == "overlapped":
            code.do(nvvm.GridWaitOp())
            if schedule.k_parts == 1:
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
            if schedule.k_groups > 1 or schedule.staging != "none" or self.stage is not None:
                inner.do(gpu.BarrierOp())

        code.loop(column_block, tiles, stride, one_tile)

    def _position(self, code: Code, panel_dimension: str) -> Position:
        schedule = self.product.schedule
        panel = code.insert(gpu.BlockIdOp(panel_dimension))
        thread = code.insert(gpu.ThreadIdOp("x"))
        zero = code.index(0)
        group = code.insert(gpu.ThreadIdOp("y")) if schedule.k_groups > 1 else zero
        rank = self._rank(code) if schedule.cluster > 1 else None
        slot, valid = zero, None
        if schedule.panels_per_block > 1:
            slot = code.insert(gpu.ThreadIdOp("z"))
            panel = code.add(code.multiply(panel, code.index(schedule.panels_per_block)), slot)
            if self.product.panel_count % schedule.panels_per_block:
                valid = code.compare(panel, "ult", code.index(self.product.panel_count))
                panel = code.minimum(panel, code.index(self.product.panel_count - 1))
        return Position(panel, group, rank, slot, thread, valid)

    def _write_tile(self, code: Code, block: Block, tile: SSAValue, where: Position) -> None:
        threads = self.product.schedule.threads
        lane = code.add(code.multiply(tile, code.index(threads)), where.thread)
        column = code.insert(FirstColumnOp(lane))
        inside = code.compare(column, "ult", code.index(self.product.columns))
        if self.stage is not None:
            # All threads of the block, whatever panel they have.
            x = block.args[self.product.position(self.product.product.x)]
            here = code.select(inside, column, code.index(0))
            self.stage.write(code, x, here, self._worker(code, where), where.thread)
            code.do(gpu.BarrierOp())
        if where.valid_panel is not None:
            inside = code.both(inside, where.valid_panel)
        if self.product.schedule.staging != "none":
            first = code.insert(FirstColumnOp(code.multiply(tile, code.index(threads))))
            self._write_staged(code, block, (column, inside, first), where)
            return
        if self.product.schedule.k_parts == 1:
            code.when(inside, lambda inner: self._write_whole(inner, block, column, where))
            return
        clamped = code.select(inside, column, code.index(0))
        sums = self._panel_product(code, block, clamped, where)
        finish = self._finisher(code, block, column, inside, where)
        if where.rank is None:
            self._write_split(code, sums, where, finish)
        else:
            self._write_clustered(code, sums, where, where.rank, finish)

    def _worker(self, code: Code, where: Position) -> SSAValue:
        """The thread's number among those of the same columns."""
        groups = code.index(self.product.schedule.k_groups)
        return code.add(code.multiply(where.slot, groups), where.group)

    def _write_whole(self, code: Code, block: Block, column: SSAValue, where: Position) -> None:
        sums = self._panel_product(code, block, column, where)
        code.do(self._write_panel(block, sums, column, where))

    def _write_staged(
        self,
        code: Code,
        block: Block,
        lane: tuple[SSAValue, SSAValue, SSAValue],
        where: Position,
    ) -> None:
        """The product by all threads, which copy x together; `lane` is its column, whether that is
        inside, and the first column of the block.
        """
        column, inside, tile = lane
        sums = self._panel_product(code, block, code.select(inside, column, tile), where, tile)
        insert_if(code, inside, self._write_panel(block, sums, column, where))

    def _write_panel(
        self, block: Block, sums: Values, column: SSAValue, where: Position
    ) -> WritePanelOp:
        op, schedule = self.product.product, self.product.schedule
        return WritePanelOp(
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

    def _panel_product(
        self,
        code: Code,
        block: Block,
        column: SSAValue,
        where: Position,
        tile: SSAValue | None = None,
    ) -> Values:
        product, op = self.product, self.product.product
        weight = code.insert(product.constant.clone())
        part = where.group
        if where.rank is not None:
            groups = code.index(product.schedule.k_groups)
            part = code.add(code.multiply(where.rank, groups), where.group)
        x, window, fold = block.args[product.position(op.x)], op.window, product.fold
        if self.stage is not None:
            # In the element type of the sums already.
            x, window, fold = code.table(BETWEEN, self.stage.buffer_type()), None, None
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

    def _residual(self, block: Block) -> SSAValue | None:
        residual = self.product.product.residual
        return None if residual is None else block.args[self.product.position(residual)]

    def _write_split(self, code: Code, sums: Values, where: Position, finish: Finisher) -> None:
        """Store partial sums, wait, then let K group g finish rows g, g + groups, ..."""
        own = self._store_sums(code, sums, where)
        self._launch_dependents(code)

        def finish_row(inner: Code, row: SSAValue) -> None:
            finish(inner, row, self._add_groups(inner, own, row))

        self._loop_over_rows(code, where.group, self.product.schedule.k_groups, finish_row)

    def _write_clustered(
        self,
        code: Code,
        sums: Values,
        where: Position,
        rank: SSAValue,
        finish: Finisher,
    ) -> None:
        """Send each row's sum to the block that finishes it, then finish rows rank, rank + blocks,
        ... of the panel; K groups share them.
        """
        schedule = self.product.schedule
        inbox, signal = self._inbox(code)
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
            own = self._store_sums(code, sums, where)

            def send_row(inner: Code, row: SSAValue) -> None:
                send(inner, row, self._add_groups(inner, own, row))

            self._loop_over_rows(code, where.group, schedule.k_groups, send_row)
        code.do(AwaitInboxOp(signal, inbox))
        self._launch_dependents(code)

        def finish_row(inner: Code, row: SSAValue) -> None:
            place = inner.insert(arith.DivUIOp(row, blocks))
            places = [
                [inner.add(first, inner.index(sender)), place, column]
                for sender in range(schedule.cluster)
            ]
            finish(inner, row, self._add_up(inner, inbox, places))

        begin = code.add(code.multiply(where.group, blocks), rank)
        self._loop_over_rows(code, begin, schedule.k_parts, finish_row)

    def _inbox(self, code: Code) -> tuple[SSAValue, SSAValue]:
        return code.table(INBOX, self.inbox_type()), code.table(SIGNAL_NAME, SIGNAL)

    def _rank(self, code: Code) -> SSAValue:
        """Of the block in its cluster: the grid is one cluster deep."""
        return code.insert(gpu.BlockIdOp("z"))

    def _open_inbox(self, code: Code) -> None:
        """Each block finishes the rows of every panel whose remainder by the blocks is its rank."""
        schedule = self.product.schedule
        inbox, signal = self._inbox(code)
        last = code.index(self.product.panel_height + schedule.cluster - 1)
        left = code.insert(arith.SubiOp(last, self._rank(code)))
        rows = code.insert(arith.DivUIOp(left, code.index(schedule.cluster)))
        senders = code.index(schedule.panels_per_block * schedule.cluster)
        code.do(OpenInboxOp(signal, inbox, code.multiply(rows, senders)))

    def _store_sums(self, code: Code, sums: Values, where: Position) -> "PartialSums":
        """Leave a thread's sums for the other K groups of its panel; wait until all have."""
        buffer = code.table(PARTIAL_SUMS, self.partial_sums_type())
        column = code.insert(FirstColumnOp(where.thread))
        groups = code.index(self.product.schedule.k_groups)
        first = code.multiply(where.slot, groups)
        mine = code.add(first, where.group)
        for row, total in enumerate(sums):
            code.do(StoreColumnsOp(total, buffer, [mine, code.index(row), column]))
        code.do(gpu.BarrierOp())
        return PartialSums(buffer, first, column)

    def _launch_dependents(self, code: Code) -> None:
        """Not earlier: blocks of the next kernel would take the places of this one's."""
        if self.product.schedule.launch == "overlapped":
            code.do(nvvm.GridLaunchDependentsOp())

    def _loop_over_rows(
        self, code: Code, begin: SSAValue, step: int, body: Callable[[Code, SSAValue], None]
    ) -> None:
        code.loop(begin, code.index(self.product.panel_height), code.index(step), body)

    def _finisher(
        self, code: Code, block: Block, column: SSAValue, inside: SSAValue, where: Position
    ) -> Finisher:
        """What writes the total of a row of the panel, if there is such a row and column."""
        rows_type = array_type(self.product.product.panels.get_shape(), i32, self._table_space())
        rows = code.table(PANEL_ROWS, rows_type)
        writer = self._row_writer(code, block)

        def finish(inner: Code, row: SSAValue, total: SSAValue) -> None:
            number = inner.load(rows, where.panel, row)
            present = inner.compare(
                number, "sge", inner.insert(arith.ConstantOp.from_int_and_width(0, 32))
            )
            inner.when(
                inner.both(present, inside),
                lambda last: writer.write(last, total, last.as_index(number), column),
            )

        return finish

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

    def _add_groups(self, code: Code, sums: "PartialSums", row: SSAValue) -> SSAValue:
        places = [
            [code.add(sums.first, code.index(group)), row, sums.column]
            for group in range(self.product.schedule.k_groups)
        ]
        return self._add_up(code, sums.buffer, places)

    def _add_up(
        self, code: Code, buffer: SSAValue, places: Sequence[Sequence[SSAValue]]
    ) -> SSAValue:
        """The sum of the lanes at several places, in that order."""
        total: SSAValue | None = None
        for place in places:
            partial = code.insert(LoadColumnsOp(buffer, place, self.product.sum_type))
            total = partial if total is None else code.insert(arith.AddfOp(total, partial))
        assert total is not None
        return total


@dataclass(frozen=True)
class PartialSums:
    """The partial sums of a panel: K group g's at [first + g, row, column...] of a buffer."""

    buffer: SSAValue
    first: SSAValue
    column: SSAValue


def _check_staging(schedule: Schedule) -> None:
    if schedule.staging == "none":
        return
    if schedule.k_parts > 1:
        raise ScheduleError(
            "schedule: with staging, the threads of a block go through all of x together:"
            f" k_groups and cluster must be 1, got {schedule.k_groups} and {schedule.cluster}"
        )
    if schedule.stages < 2:
        raise ScheduleError(
            "schedule: with staging, stages must be 2 or more, one buffer that is read and others"
            f" that are filled, got {schedule.stages}"
        )
    if schedule.staging == "bulk" and schedule.column_tiles > 1:
        raise ScheduleError(
            "schedule: with staging = bulk, a block has one column tile, since the signals of its"
            f" buffers count once: column_tiles must be 1, got {schedule.column_tiles}"
        )


def _check_launch(product: ProductFunction) -> None:
    """The limits of every CUDA GPU (CUDA C++ Programming Guide, compute capabilities)."""
    schedule = product.schedule
    if schedule.lowering != "code":
        raise ScheduleError(f"schedule: expected lowering = code here, got {schedule.lowering}")
    product.check_schedule("gpu")
    _check_staging(schedule)
    if schedule.block_threads > BLOCK_THREADS:
        raise ScheduleError(
            "schedule: threads * k_groups * panels_per_block must be at most"
            f" {BLOCK_THREADS}, got {schedule.block_threads}"
        )
    if schedule.panels_per_block > 64:
        raise ScheduleError(
            f"schedule: panels_per_block must be at most 64, got {schedule.panels_per_block}"
        )
    _check_cluster(product)


def _check_cluster(product: ProductFunction) -> None:
    """What blocks can send each other: once, and 32 bits at a time."""
    schedule = product.schedule
    if schedule.cluster == 1:
        return
    if schedule.column_tiles > 1:
        raise ScheduleError(
            f"schedule: cluster = {schedule.cluster} needs column_tiles = 1, got"
            f" {schedule.column_tiles}"
        )
    if schedule.columns_per_thread * product.sum_type.bitwidth % 32:
        raise ScheduleError(
            f"schedule: cluster = {schedule.cluster} with sums in {product.sum_type} needs an even"
            f" columns_per_thread, got {schedule.columns_per_thread}"
        )


def _check_memory(product: ProductFunction, shared_memory: int) -> None:
    """A buffer of more than STATIC_SHARED_MEMORY bytes is asked for at the launch; one can be."""
    schedule, builder = product.schedule, KernelBuilder(product)
    lane_bytes = schedule.columns_per_thread * product.sum_type.bitwidth // 8
    buffers = [] if builder.stage is None else [builder.stage.buffer_bytes()]
    if schedule.k_groups > 1:
        buffers.append(math.prod(builder.partial_sums_type().get_shape()) * lane_bytes)
    if schedule.cluster > 1:
        buffers.append(math.prod(builder.inbox_type().get_shape()) * lane_bytes)
    total = sum(buffers) + (_SIGNAL_BYTES if schedule.cluster > 1 else 0)
    large = [size for size in buffers if size > STATIC_SHARED_MEMORY]
    one_large = len(large) == 1 and total - large[0] <= STATIC_SHARED_MEMORY
    usable = shared_memory if one_large else STATIC_SHARED_MEMORY
    if total > usable:
        raise ScheduleError(
            f"schedule: partial sums must fit in {usable} bytes of workgroup memory,"
            f" got {total} (k_groups * panels_per_block * rows_per_panel * threads *"
            " columns_per_thread * element size, and about one K group's of it in a cluster;"
            " channels * threads * columns_per_thread * element size after a depthwise convolution)"
        )
