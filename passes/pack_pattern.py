"""sparsert-pack-pattern: the matrix becomes data, read by loops."""

from collections.abc import Callable
from typing import TypeAlias, cast

from xdsl.context import Context
from xdsl.dialects import arith, func, memref
from xdsl.dialects.builtin import IndexType, MemRefType, ModuleOp, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from sparsert_ir.building import Code, Values, constant_table, memref_of
from sparsert_ir.cpu.column_tiles import pieces
from sparsert_ir.cpu.functions import KERNEL
from sparsert_ir.cpu.row_loops import RowLoops
from sparsert_ir.cpu.row_packing import pack, reads_groups
from sparsert_ir.dense import Dense, numpy_dtype, to_dense, to_numpy
from sparsert_ir.dialects.sparsert import (
    PanelProductOp,
    ScheduleAttr,
    StoreColumnsOp,
    WritePanelOp,
    lane_element,
    lane_width,
)
from sparsert_ir.epilogue import RowWriter
from sparsert_ir.errors import IRError, ScheduleError
from sparsert_ir.kernel_function import constant_weight, only_block
from sparsert_ir.panel_sums import can_stand_before, only_writer

_MOST_LOOPS = 1024
"""Of a kernel: seconds of work. The cost model takes panels of one row."""


class PackPattern(ModulePass):
    """Replace each `panel_product` in a kernel function by loops over packed nonzeros, and the
    `write_panel` after it by stores to the rows that a table names.

    The packed arrays become constants of the module, values in the element type of the sums, which
    the caller hands to the kernel. A lane is summed in pieces that fill registers. Where a lane
    fills few registers, a row's nonzeros are dealt in turn to several sums, which are added in the
    end: one multiply-add need not wait for the one before it.

    Requires: `sparsert-map-to-cpu`; weights made by `sparsert.constant`; one K group; no windows;
    all sums of a product written by one `write_panel` in their order, to the rows of the same
    panel, or stored in their order, to other memory than x, with nothing in between that touches
    memory.
    Guarantees: no `panel_product`, `write_panel` or `sparsert.constant` is left in kernels; the
    code does not grow with the matrix.
    """

    name = "sparsert-pack-pattern"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = [f for f in op.body.block.ops if isinstance(f, func.FuncOp)]
        for kernel in functions:
            _check_products(kernel)
            if KERNEL in kernel.attributes:
                _pack_kernel(op, kernel)


def _check_products(kernel: func.FuncOp) -> None:
    loops = 0
    for product in kernel.walk():
        if isinstance(product, PanelProductOp):
            loops += len(product.sums) * len(pieces(lane_width(product.sums[0].type)))
            rank = cast(MemRefType[Attribute], product.x.type).get_num_dims()
            flat = product.positions is None or rank == 1
            if product.initial or product.window or not flat:
                raise IRError(
                    "sparsert-pack-pattern: expected sums that start at 0, x without a window, and"
                    " positions only in a flat x"
                )
    if loops > _MOST_LOOPS:
        raise ScheduleError(
            "schedule: with lowering = data on a CPU, each row of a panel has loops of its own, for"
            f" each power of two in the columns of a tile: expected at most {_MOST_LOOPS}, got"
            f" {loops}; take a smaller rows_per_panel"
        )


def _pack_kernel(module: ModuleOp, kernel: func.FuncOp) -> None:
    """Products with the same matrix, for tiles of different widths, share its tables."""
    products = [op for op in kernel.walk() if isinstance(op, PanelProductOp)]
    if any(product.splits.get_shape()[1] != 2 for product in products):
        raise IRError("sparsert-pack-pattern: expected one K group")
    schedule = kernel.attributes.get("sparsert.schedule")
    chains = schedule.data.chains if isinstance(schedule, ScheduleAttr) else 1
    for number, alike in enumerate(_alike(products)):
        name = kernel.sym_name.data + (f"_{number}" if number else "")
        arguments = _pass_tables(module, kernel, name, _tables(alike[0]))
        for product in alike:
            constant = constant_weight(product.weight, PackPattern.name)
            users = _users(product)
            _write_loops(product, users, arguments, chains)
            for op in (*users, product):
                op.detach()
                op.erase()
            if constant.result.first_use is None:
                constant.detach()
                constant.erase()


def _alike(products: list[PanelProductOp]) -> list[list[PanelProductOp]]:
    """The products in groups that share tables, in program order."""
    groups: list[list[PanelProductOp]] = []
    for product in products:
        mine = _tables_of(product)
        group = next((group for group in groups if _tables_of(group[0]) == mine), None)
        if group is None:
            groups.append([product])
        else:
            group.append(product)
    return groups


def _tables_of(product: PanelProductOp) -> tuple[object, ...]:
    """What its tables are made from."""
    weight = constant_weight(product.weight, PackPattern.name)
    parts = weight.row_offsets, weight.column_indices, weight.values
    write = _users(product)[0]
    written = (write.bias,) if isinstance(write, WritePanelOp) else None
    sum_type = lane_element(product.sums[0].type)
    return (*parts, product.panels, product.positions, sum_type, written)


def _users(product: PanelProductOp) -> list[Operation]:
    """The `write_panel` of the sums, or the store of each of them; in program order.

    The loops go in front of the last one: a row is summed and written before the next one.
    """
    write = only_writer(product)
    if write is not None and write.y is not product.x and write.window is None:
        return [write]
    found = {use.operation for total in product.sums for use in total.uses}
    block = product.parent_block()
    users = [op for op in block.ops if op in found] if block is not None else []
    stores = [op for op in users if isinstance(op, StoreColumnsOp)]
    elsewhere = all(op.memref is not product.x and op.window is None for op in stores)
    in_order = [op.value for op in stores] == list(product.sums) and users == stores
    if elsewhere and in_order and can_stand_before(product, users):
        return users
    raise IRError(
        "sparsert-pack-pattern: expected all sums written by one write_panel in their order, to the"
        " rows of the same panel, or stored in their order, once each; without a window, to other"
        " memory than x, and nothing in between that touches memory"
    )


def _tables(product: PanelProductOp) -> dict[str, Dense]:
    constant = constant_weight(product.weight, PackPattern.name)
    offsets, columns, values = constant.arrays()
    sources, limit = columns, constant.shape[1]
    if product.positions is not None:
        sources = to_numpy(product.positions)
        limit = cast(MemRefType[Attribute], product.x.type).get_shape()[0]
    packed = pack(
        offsets,
        sources,
        values,
        limit,
        to_numpy(product.panels),
        grouped=reads_groups(lane_width(product.sums[0].type), constant.shape[0], values.size),
    )
    sum_type = numpy_dtype(lane_element(product.sums[0].type))
    write = _users(product)[0]
    tables: dict[str, Dense] = {"offsets": to_dense(packed.offsets)}
    if isinstance(write, WritePanelOp):
        tables["rows"] = to_dense(packed.rows)
    tables["columns"] = to_dense(packed.columns)
    tables["values"] = to_dense(packed.values, sum_type)
    if packed.words.size:
        tables["words"] = to_dense(packed.words)
        tables["group_values"] = to_dense(packed.group_values, sum_type)
    if isinstance(write, WritePanelOp) and write.bias is not None:
        tables["bias"] = write.bias
    return tables


def _pass_tables(
    module: ModuleOp, kernel: func.FuncOp, name: str, tables: dict[str, Dense]
) -> dict[str, SSAValue]:
    """Make the tables globals of the module, whose names begin with `name`, and arguments of the
    kernel, before its bounds.
    """
    block = only_block(kernel, "sparsert-pack-pattern")
    bounds = sum(isinstance(argument.type, IndexType) for argument in block.args)
    position = len(block.args) - bounds
    arguments: dict[str, SSAValue] = {}
    for key, data in tables.items():
        table = constant_table(f"{name}_{key}", data)
        module.body.block.insert_op_before(table, module.body.block.first_op)  # pyright: ignore
        arguments[key] = block.insert_arg(memref_of(data.type), position + len(arguments))
    kernel.update_function_type()
    for call in [op for op in module.walk() if isinstance(op, func.CallOp)]:
        if call.callee.string_value() == kernel.sym_name.data:
            code = Code(InsertPoint.before(call))
            given = [
                code.insert(memref.GetGlobalOp(f"{name}_{key}", memref_of(data.type)))
                for key, data in tables.items()
            ]
            operands = list(call.operands)
            call.operands = [*operands[:position], *given, *operands[position:]]
    return arguments


def _write_loops(
    product: PanelProductOp, users: list[Operation], tables: dict[str, SSAValue], chains: int
) -> None:
    # There everything is known that the users need.
    code = Code(InsertPoint.before(users[-1]))
    first = code.multiply(product.panel, code.index(len(product.sums)))
    loops = RowLoops(product, tables, chains)
    if isinstance(users[0], WritePanelOp):
        finish = _writes(product, users[0], tables)
    else:
        finish = _stores(product)
    for row in range(len(product.sums)):
        place = code.add(first, code.index(row))
        finish(code, loops, row, place, loops.totals(code, place))


Finish: TypeAlias = Callable[[Code, RowLoops, int, SSAValue, Values], None]
"""What becomes of the sums of row r of a panel, which has that place in the tables."""


def _stores(product: PanelProductOp) -> Finish:
    """Each sum to where it was stored."""
    stores = {total: use.operation for total in product.sums for use in total.uses}

    def finish(code: Code, loops: RowLoops, row: int, place: SSAValue, totals: Values) -> None:
        store = cast(StoreColumnsOp, stores[product.sums[row]])
        *outer, first = store.indices
        for (start, _), total in zip(loops.pieces, totals, strict=True):
            code.do(StoreColumnsOp(total, store.memref, [*outer, _moved(code, first, start)]))

    return finish


def _writes(product: PanelProductOp, write: WritePanelOp, tables: dict[str, SSAValue]) -> Finish:
    """Each sum through the epilogue to the row of y that a table names."""
    writer = RowWriter(
        y=write.y,
        residual=write.residual,
        bias_table=tables.get("bias"),
        activation=write.activation,
        residual_after_activation=write.residual_after_activation,
        streaming=False,
    )
    every_row_exists = bool((to_numpy(product.panels) >= 0).all())

    def finish(code: Code, loops: RowLoops, row: int, place: SSAValue, totals: Values) -> None:
        number = code.load(tables["rows"], place)

        def store(inner: Code) -> None:
            y_row = inner.as_index(number)
            for (start, _), total in zip(loops.pieces, totals, strict=True):
                writer.write(inner, total, y_row, _moved(inner, write.column, start))

        if every_row_exists:
            store(code)
        else:
            zero = code.insert(arith.ConstantOp.from_int_and_width(0, i32))
            code.when(code.compare(number, "sge", zero), store)

    return finish


def _moved(code: Code, column: SSAValue, distance: int) -> SSAValue:
    return code.add(column, code.index(distance)) if distance else column
