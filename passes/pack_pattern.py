"""sparsert-pack-pattern: the matrix becomes data, read by loops."""

from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects import arith, func, math, memref, vector
from xdsl.dialects.builtin import IndexType, MemRefType, ModuleOp, VectorType, i32, i64
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from sparsert_ir.building import Code, Values, constant_table, memref_of
from sparsert_ir.column_tiles import GRAIN, Piece, pieces
from sparsert_ir.cpu_convolution import IMAGE_KERNEL
from sparsert_ir.cpu_tiles import KERNEL
from sparsert_ir.dense import Dense, numpy_dtype, to_dense, to_numpy
from sparsert_ir.dialects.sparsert import (
    LoadColumnsOp,
    PanelProductOp,
    WritePanelOp,
    lane_element,
    lane_width,
)
from sparsert_ir.epilogue import RowWriter, convert, element_of, splat, with_element
from sparsert_ir.errors import IRError
from sparsert_ir.image_packing import pack_image_kernel
from sparsert_ir.passes.partition import constant_weight
from sparsert_ir.row_packing import GROUP, chains, pack, reads_groups


class PackPattern(ModulePass):
    """Replace each `panel_product` in a kernel function by loops over packed nonzeros, and the
    `write_panel` after it by stores to the rows that a table names.

    The packed arrays become constants of the module, values in the element type of the sums, which
    the caller hands to the kernel. A lane is summed in pieces that fill registers. Where a lane
    fills few registers, a row's nonzeros are dealt in turn to several sums, which are added in the
    end: one multiply-add need not wait for the one before it.

    Requires: `sparsert-map-to-cpu`; weights made by `sparsert.constant`; one K group.
    Guarantees: no `panel_product`, `write_panel` or `sparsert.constant` is left in kernels; the
    code does not grow with the matrix.
    """

    name = "sparsert-pack-pattern"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = [f for f in op.body.block.ops if isinstance(f, func.FuncOp)]
        for kernel in functions:
            if KERNEL in kernel.attributes:
                _pack_kernel(op, kernel)
            elif IMAGE_KERNEL in kernel.attributes:
                pack_image_kernel(op, kernel)


def _pack_kernel(module: ModuleOp, kernel: func.FuncOp) -> None:
    """All products of a kernel are the same one, for tiles of different widths."""
    products = [op for op in kernel.walk() if isinstance(op, PanelProductOp)]
    if any(product.splits.get_shape()[1] != 2 for product in products):
        raise IRError("sparsert-pack-pattern: expected one K group")
    if not products:
        return
    first, write = products[0], _writer(products[0])
    tables = _tables(first, write)
    arguments = _pass_tables(module, kernel, tables)
    for product in products:
        _write_loops(product, _writer(product), arguments)
        constant = constant_weight(product.weight, PackPattern.name)
        for op in (_writer(product), product, constant):
            op.detach()
            op.erase()


def _writer(product: PanelProductOp) -> WritePanelOp:
    users = [use.operation for use in product.sums[0].uses]
    return next(user for user in users if isinstance(user, WritePanelOp))


def _tables(product: PanelProductOp, write: WritePanelOp) -> dict[str, Dense]:
    constant = constant_weight(product.weight, PackPattern.name)
    nonzeros = to_numpy(constant.values).size
    packed = pack(
        *constant.arrays(),
        constant.shape[1],
        to_numpy(product.panels),
        grouped=reads_groups(lane_width(product.sums[0].type), constant.shape[0], nonzeros),
    )
    sum_type = numpy_dtype(lane_element(product.sums[0].type))
    tables: dict[str, Dense] = {
        "offsets": to_dense(packed.offsets),
        "rows": to_dense(packed.rows),
        "columns": to_dense(packed.columns),
        "values": to_dense(packed.values, sum_type),
    }
    if packed.words.size:
        tables["words"] = to_dense(packed.words)
        tables["group_values"] = to_dense(packed.group_values, sum_type)
    if write.bias is not None:
        tables["bias"] = write.bias
    return tables


def _pass_tables(
    module: ModuleOp, kernel: func.FuncOp, tables: dict[str, Dense]
) -> dict[str, SSAValue]:
    """Make the tables globals of the module and arguments of the kernel, before its bounds."""
    block = kernel.body.block
    name = kernel.sym_name.data
    bounds = sum(isinstance(argument.type, IndexType) for argument in block.args)
    position = len(block.args) - bounds
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


def _write_loops(product: PanelProductOp, write: WritePanelOp, tables: dict[str, SSAValue]) -> None:
    code = Code(InsertPoint.before(product))
    height = code.index(len(product.sums))
    first = code.multiply(product.panel, height)
    loops = _RowLoops(product, tables)
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
        totals = loops.totals(code, place)
        number = code.load(tables["rows"], place)

        def store(inner: Code, totals: Values = totals, number: SSAValue = number) -> None:
            y_row = inner.as_index(number)
            for (start, _), total in zip(loops.pieces, totals, strict=True):
                column = inner.add(write.column, inner.index(start)) if start else write.column
                writer.write(inner, total, y_row, column)

        if _every_row_exists(product):
            store(code)
        else:
            zero = code.insert(arith.ConstantOp.from_int_and_width(0, i32))
            code.when(code.compare(number, "sge", zero), store)


def _every_row_exists(product: PanelProductOp) -> bool:
    return bool((to_numpy(product.panels) >= 0).all())


class _RowLoops:
    """Writes the loops over one row's nonzeros."""

    def __init__(self, product: PanelProductOp, tables: dict[str, SSAValue]):
        lane = product.sums[0].type
        self._product = product
        self._tables = tables
        self._element = lane_element(lane)
        self.pieces: list[Piece] = pieces(lane_width(lane))
        self._grouped = "words" in tables
        self._chains = chains(lane_width(lane)) if self._grouped else 1

    def totals(self, code: Code, place: SSAValue) -> Values:
        """The sums of the row at `place`, one for each piece.

        Nonzero c of a group goes to chain c modulo their number, single ones to the first chain;
        in the end the chains are added in order.
        """
        one, after = code.index(1), code.add(place, code.index(1))
        zeros = [self._splat(code, code.number(0.0, self._element), n) for _, n in self.pieces]
        sums: Values = zeros
        if self._grouped:
            begin, end = (self._offset(code, at, 0) for at in (place, after))
            sums = code.sum_loop(begin, end, one, zeros * self._chains, self._add_group)
        first, *others = [
            sums[start : start + len(zeros)] for start in range(0, len(sums), len(zeros))
        ]
        begin, end = (self._offset(code, at, 1) for at in (place, after))
        totals = code.sum_loop(begin, end, one, first, self._add_single)
        for other in others:
            pairs = zip(totals, other, strict=True)
            totals = [code.insert(arith.AddfOp(total, more)) for total, more in pairs]
        return totals

    def _offset(self, code: Code, place: SSAValue, kind: int) -> SSAValue:
        return code.as_index(code.load(self._tables["offsets"], place, code.index(kind)))

    def _add_group(self, code: Code, group: SSAValue, carried: Values) -> Values:
        sums, count = list(carried), len(self.pieces)
        columns = self._columns(code, group)
        values = self._group_values(code, group)
        for number, row_of_x in enumerate(columns):
            first = number % self._chains * count
            wide = [self._spread(code, values, number, width) for _, width in self.pieces]
            own = sums[first : first + count]
            sums[first : first + count] = self._multiply_add(code, wide, row_of_x, own)
        return sums

    def _columns(self, code: Code, group: SSAValue) -> list[SSAValue]:
        """The matrix columns of a group, out of its words."""
        words = self._tables["words"]
        count = cast(MemRefType[Any], words.type).get_shape()[1]
        per_word = GROUP // count
        loaded = [code.load(words, group, code.index(number)) for number in range(count)]
        bits = 64 // per_word
        mask = code.insert(arith.ConstantOp.from_int_and_width((1 << bits) - 1, i64))
        columns: list[SSAValue] = []
        for number in range(GROUP):
            word, place = loaded[number // per_word], number % per_word
            if place:
                shift = code.insert(arith.ConstantOp.from_int_and_width(place * bits, i64))
                word = code.insert(arith.ShRUIOp(word, shift))
            columns.append(code.as_index(code.both(word, mask)))
        return columns

    def _group_values(self, code: Code, group: SSAValue) -> SSAValue:
        """The values of a group, over and over in a vector of `GRAIN` numbers."""
        lane = VectorType(self._element, [GROUP])
        place = [group, code.index(0)]
        values = code.insert(LoadColumnsOp(self._tables["group_values"], place, lane))
        return code.shuffle(values, [number % GROUP for number in range(GRAIN)])

    def _spread(self, code: Code, values: SSAValue, number: int, width: int) -> SSAValue:
        """Value `number` of the group in every column of a piece.

        The mask stays within a quarter of a register, which takes one instruction.
        """
        if width == 1:
            return code.insert(vector.ExtractOp(values, [number], self._element))
        quarter = [column % GRAIN // GROUP * GROUP for column in range(width)]
        return code.shuffle(values, [start + number for start in quarter])

    def _add_single(self, code: Code, i: SSAValue, carried: Values) -> Values:
        row_of_x = code.as_index(code.load(self._tables["columns"], i))
        value = code.load(self._tables["values"], i)
        wide = [self._splat(code, value, width) for _, width in self.pieces]
        return self._multiply_add(code, wide, row_of_x, carried)

    def _multiply_add(
        self, code: Code, values: Values, row_of_x: SSAValue, totals: Values
    ) -> list[SSAValue]:
        """totals + values * (a row of x), piece by piece."""
        x, column = self._product.x, self._product.column
        sums: list[SSAValue] = []
        for (start, width), value, total in zip(self.pieces, values, totals, strict=True):
            place = code.add(column, code.index(start)) if start else column
            lane = with_element(total.type, element_of(x))
            loaded = code.insert(LoadColumnsOp(x, [row_of_x, place], lane))
            fma = math.FmaOp if width == 1 else vector.FMAOp
            sums.append(code.insert(fma(value, convert(code, loaded, self._element), total)))
        return sums

    def _splat(self, code: Code, number: SSAValue, width: int) -> SSAValue:
        lane = self._element if width == 1 else VectorType(self._element, [width])
        return splat(code, number, lane)
