"""The matrix of a convolution on a CPU as tables that loops read."""

import numpy as np
from xdsl.dialects import func, math, memref, vector
from xdsl.dialects.builtin import ModuleOp, VectorType
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint

from sparsert_ir.building import Code, Values, constant_table, memref_of
from sparsert_ir.dense import Array, Dense, numpy_dtype, to_dense, to_numpy
from sparsert_ir.dialects.sparsert import (
    ConstantOp,
    LoadColumnsOp,
    PanelProductOp,
    lane_element,
)
from sparsert_ir.epilogue import convert, element_of, splat, with_element
from sparsert_ir.errors import IRError


def pack_image_kernel(module: ModuleOp, kernel: func.FuncOp) -> None:
    """Replace the `panel_product` with positions in a kernel of `cpu_convolution` by loops.

    The tables become constants of the module; row r of panel p has the nonzeros from
    offsets[p * R + r], each a position in the padded copy and a value in the sums' element type.
    """
    product = next(op for op in kernel.walk() if isinstance(op, PanelProductOp))
    constant = product.weight.owner
    if not isinstance(constant, ConstantOp) or product.positions is None:
        raise IRError("sparsert-pack-pattern: expected a constant weight and positions")
    tables = _tables(product, constant, to_numpy(product.positions))
    block = module.body.block
    for key, data in tables.items():
        table = constant_table(f"{kernel.sym_name.data}_{key}", data)
        block.insert_op_before(table, block.first_op)  # pyright: ignore[reportArgumentType]
    code = Code(InsertPoint.before(product))
    arguments = {
        key: code.insert(memref.GetGlobalOp(f"{kernel.sym_name.data}_{key}", memref_of(data.type)))
        for key, data in tables.items()
    }
    first = code.multiply(product.panel, code.index(len(product.sums)))
    for row, total in enumerate(product.sums):
        place = code.add(first, code.index(row))
        total.replace_all_uses_with(_row_sum(code, product, arguments, place))
    for op in (product, constant):
        op.detach()
        op.erase()


def _tables(product: PanelProductOp, constant: ConstantOp, positions: Array) -> dict[str, Dense]:
    row_offsets, indices, values = constant.arrays()
    rows = to_numpy(product.panels).ravel()
    starts = np.where(rows >= 0, row_offsets[rows], 0)
    lengths = np.where(rows >= 0, row_offsets[rows + 1] - row_offsets[rows], 0)
    offsets: Array = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    order: Array = np.arange(int(offsets[-1])) + np.repeat(starts - offsets[:-1], lengths)
    element = numpy_dtype(lane_element(product.sums[0].type))
    return {
        "offsets": to_dense(offsets),
        "positions": to_dense(positions[indices[order]]),
        "values": to_dense(values[order], element),
    }


def _row_sum(
    code: Code, product: PanelProductOp, tables: dict[str, SSAValue], place: SSAValue
) -> SSAValue:
    lane = product.sums[0].type
    element = lane_element(lane)
    x_lane = with_element(lane, element_of(product.x))
    fma = vector.FMAOp if isinstance(lane, VectorType) else math.FmaOp
    one = code.index(1)
    begin = code.as_index(code.load(tables["offsets"], place))
    end = code.as_index(code.load(tables["offsets"], code.add(place, one)))
    zero = splat(code, code.number(0.0, element), lane)

    def multiply_add(inner: Code, i: SSAValue, carried: Values) -> Values:
        position = inner.as_index(inner.load(tables["positions"], i))
        start = inner.add(position, product.column)
        x = convert(inner, inner.insert(LoadColumnsOp(product.x, [start], x_lane)), element)
        value = splat(inner, inner.load(tables["values"], i), lane)
        return [inner.insert(fma(value, x, carried[0]))]

    return code.sum_loop(begin, end, one, [zero], multiply_add)[0]
