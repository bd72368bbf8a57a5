"""sparsert-pack-pattern: the matrix becomes data, read by loops."""

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects import arith, func, math, memref, vector
from xdsl.dialects.builtin import ModuleOp, VectorType, i32
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from sparsert_ir.building import Code, Values, constant_table, memref_of
from sparsert_ir.dense import Array, Dense, to_dense, to_numpy
from sparsert_ir.dialects.sparsert import (
    ConstantOp,
    LoadColumnsOp,
    PanelProductOp,
    WritePanelOp,
    lane_element,
)
from sparsert_ir.epilogue import RowWriter, convert, element_of, splat, with_element
from sparsert_ir.errors import IRError
from sparsert_ir.passes.map_to_cpu import KERNEL
from sparsert_ir.passes.partition import constant_weight


@dataclass(frozen=True)
class PackedMatrix:
    """The nonzeros in the order in which the loops read them: panel by panel, row by row.

    offsets: P * R + 1 positions in `columns` and `values`; row r of panel p starts at p * R + r.
    rows:    P * R row numbers of the matrix, -1 where a panel is not full.
    """

    offsets: Array
    rows: Array
    columns: Array
    values: Array


def pack(constant: ConstantOp, panels: Array) -> PackedMatrix:
    """Gather the rows of the panels; vectorised, linear in the nonzeros."""
    row_offsets, indices, values = constant.arrays()
    rows = panels.ravel()
    starts = np.where(rows >= 0, row_offsets[rows], 0)
    lengths = np.where(rows >= 0, row_offsets[rows + 1] - row_offsets[rows], 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    order: Array = np.arange(int(offsets[-1])) + np.repeat(starts - offsets[:-1], lengths)
    return PackedMatrix(offsets, rows.astype(np.int32), indices[order], values[order])


class PackPattern(ModulePass):
    """Replace each `panel_product` in a kernel function by loops over packed nonzeros, and the
    `write_panel` after it by stores to the rows that a table names.

    The packed arrays become constants of the module, which the caller hands to the kernel.

    Requires: `sparsert-map-to-cpu`; weights made by `sparsert.constant`; one K group.
    Guarantees: no `panel_product`, `write_panel` or `sparsert.constant` is left in kernels; the
    code does not grow with the matrix.
    """

    name = "sparsert-pack-pattern"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = [f for f in op.body.block.ops if isinstance(f, func.FuncOp)]
        for kernel in functions:
            if KERNEL in kernel.attributes:
                products = [p for p in kernel.walk() if isinstance(p, PanelProductOp)]
                for product in products:
                    _pack_kernel(op, kernel, product)


def _pack_kernel(module: ModuleOp, kernel: func.FuncOp, product: PanelProductOp) -> None:
    if product.splits.get_shape()[1] != 2:
        raise IRError("sparsert-pack-pattern: expected one K group")
    constant = constant_weight(product.weight, PackPattern.name)
    write = next(op for op in kernel.walk() if isinstance(op, WritePanelOp))
    packed = pack(constant, to_numpy(product.panels))
    tables: dict[str, Dense] = {
        "offsets": to_dense(packed.offsets),
        "rows": to_dense(packed.rows),
        "columns": to_dense(packed.columns),
        "values": to_dense(packed.values),
    }
    if write.bias is not None:
        tables["bias"] = write.bias
    arguments = _pass_tables(module, kernel, tables)
    code = Code(InsertPoint.before(product))
    _write_loops(code, product, write, arguments)
    for op in (write, product, constant):
        op.detach()
        op.erase()


def _pass_tables(
    module: ModuleOp, kernel: func.FuncOp, tables: dict[str, Dense]
) -> dict[str, SSAValue]:
    """Make the tables globals of the module and arguments of the kernel, before its bounds."""
    block = kernel.body.block
    name = kernel.sym_name.data
    position = len(block.args) - 2
    arguments: dict[str, SSAValue] = {}
    for key, data in tables.items():
        table = constant_table(f"{name}_{key}", data)
        module.body.block.insert_op_before(table, module.body.block.first_op)  # pyright: ignore
        arguments[key] = block.insert_arg(memref_of(data.type), position + len(arguments))
    kernel.update_function_type()
    for call in [op for op in module.walk() if isinstance(op, func.CallOp)]:
        if call.callee.string_value() == name:
            code = Code(InsertPoint.before(call))
            given = [
                code.insert(memref.GetGlobalOp(f"{name}_{key}", memref_of(data.type)))
                for key, data in tables.items()
            ]
            operands = list(call.operands)
            call.operands = [*operands[:position], *given, *operands[position:]]
    return arguments


def _write_loops(
    code: Code, product: PanelProductOp, write: WritePanelOp, tables: dict[str, SSAValue]
) -> None:
    height = code.index(len(product.sums))
    first = code.multiply(product.panel, height)
    writer = RowWriter(
        y=write.y,
        residual=write.residual,
        bias_table=tables.get("bias"),
        activation=write.activation,
        residual_after_activation=write.residual_after_activation,
        streaming=False,
    )
    for row in range(len(product.sums)):
        place = code.add(first, code.index(row))
        total = _row_sum(code, product, tables, place)
        number = code.load(tables["rows"], place)
        present = code.compare(
            number, "sge", code.insert(arith.ConstantOp.from_int_and_width(0, i32))
        )
        code.when(
            present,
            lambda inner, total=total, number=number: writer.write(
                inner, total, inner.as_index(number), write.column
            ),
        )


def _row_sum(
    code: Code, product: PanelProductOp, tables: dict[str, SSAValue], place: SSAValue
) -> SSAValue:
    lane = product.sums[0].type
    one = code.index(1)
    begin = code.as_index(code.load(tables["offsets"], place))
    end = code.as_index(code.load(tables["offsets"], code.add(place, one)))
    zero = splat(code, code.number(0.0, lane_element(lane)), lane)

    def multiply_add(inner: Code, i: SSAValue, carried: Values) -> Values:
        row_of_x = inner.as_index(inner.load(tables["columns"], i))
        x_lane = with_element(lane, element_of(product.x))
        x = inner.insert(LoadColumnsOp(product.x, [row_of_x, product.column], x_lane))
        value = convert(inner, inner.load(tables["values"], i), lane_element(lane))
        value = splat(inner, value, lane)
        fma = vector.FMAOp if isinstance(lane, VectorType) else math.FmaOp
        return [inner.insert(fma(value, convert(inner, x, lane_element(lane)), carried[0]))]

    return code.sum_loop(begin, end, one, [zero], multiply_add)[0]
