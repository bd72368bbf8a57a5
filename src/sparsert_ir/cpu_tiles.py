"""The functions that a product becomes on a CPU: loops over column tiles and panels."""

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import IndexType, MemRefType, UnitAttr, VectorType
from xdsl.ir import Attribute, Block, Region, SSAValue

from sparsert_ir.building import Code, Values, array_type
from sparsert_ir.column_tiles import ColumnTiles, column_tiles, pieces
from sparsert_ir.dialects.sparsert import (
    FirstColumnOp,
    LoadColumnsOp,
    PanelProductOp,
    StoreColumnsOp,
    WritePanelOp,
)
from sparsert_ir.epilogue import convert, element_of
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.work_shares import BOUNDS, part_name

KERNEL = "sparsert.kernel"
"""Attribute of a function that computes the tiles and panels that its last arguments name."""


@dataclass(frozen=True)
class TiledProduct:
    """A product whose columns are cut into tiles.

    name_of_kernel: `@NAME_tiles`, internal; `@NAME_part` is what threads call, `@NAME` computes
                    everything.
    """

    product: ProductFunction

    @property
    def tiles(self) -> ColumnTiles:
        return column_tiles(self.product.columns, self.product.schedule.columns_per_thread)

    @property
    def name_of_kernel(self) -> str:
        return f"{self.product.name}_tiles"

    @property
    def copies_x(self) -> bool:
        return self.product.schedule.staging == "copy"

    @property
    def depth(self) -> int:
        """K: rows of x."""
        return self.product.constant.shape[1]

    @property
    def copy_type(self) -> MemRefType[Attribute]:
        """The copy of one tile of x, in the element type of the sums."""
        return array_type([self.depth, self.tiles.row_stride], self.product.sum_type)

    def lane(self, width: int) -> Attribute:
        """What a row of a tile is summed in."""
        kind = self.product.sum_type
        return kind if width == 1 else VectorType(kind, [width])

    def functions(self) -> list[func.FuncOp]:
        """The function for everything, the one for a part, and the kernel that both call."""
        return [_whole(self), _part(self), _kernel(self)]


def _part_types(tiled: TiledProduct) -> list[Attribute]:
    types: list[Attribute] = [*tiled.product.buffer_types()]
    if tiled.copies_x:
        types.append(tiled.copy_type)
    return [*types, *[IndexType()] * BOUNDS]


def _whole(tiled: TiledProduct) -> func.FuncOp:
    """`@NAME(x, [residual], y)`."""
    product = tiled.product
    types = product.buffer_types()
    block = Block(arg_types=types)
    code = Code(block)
    copies = [code.insert(memref.AllocOp([], [], tiled.copy_type))] if tiled.copies_x else []
    zero = code.index(0)
    bounds = [zero, code.index(tiled.tiles.count), zero, code.index(product.panel_count)]
    arguments = [*block.args, *copies, *bounds]
    code.do(func.CallOp(tiled.name_of_kernel, arguments, []))
    for copy in copies:
        code.do(memref.DeallocOp.get(copy))
    code.do(func.ReturnOp())
    return func.FuncOp(product.name, (types, []), Region(block))


def _part(tiled: TiledProduct) -> func.FuncOp:
    """`@NAME_part(x, [residual], y, [copy], first tile, last tile, first panel, last panel)`."""
    types = _part_types(tiled)
    block = Block(arg_types=types)
    code = Code(block)
    code.do(func.CallOp(tiled.name_of_kernel, list(block.args), []))
    code.do(func.ReturnOp())
    return func.FuncOp(part_name(tiled.product.name), (types, []), Region(block))


def _kernel(tiled: TiledProduct) -> func.FuncOp:
    types = _part_types(tiled)
    block = Block(arg_types=types)
    code = Code(block)
    *arrays, first, last, first_panel, last_panel = block.args
    one, whole = code.index(1), code.index(tiled.tiles.whole)

    def tile_of(width: int) -> Callable[[Code, SSAValue], None]:
        def body(inner: Code, tile: SSAValue) -> None:
            column = inner.insert(FirstColumnOp(tile, tiled.tiles.width))
            _one_tile(inner, tiled, arrays, column, width, (first_panel, last_panel))

        return body

    if tiled.tiles.whole:
        code.loop(first, code.minimum(last, whole), one, tile_of(tiled.tiles.width))
    if tiled.tiles.tail:
        has_tail = code.compare(whole, "ult", last)
        code.when(has_tail, lambda inner: tile_of(tiled.tiles.tail)(inner, whole))
    code.do(func.ReturnOp())
    kernel = func.FuncOp(tiled.name_of_kernel, (types, []), Region(block), visibility="private")
    kernel.attributes[KERNEL] = UnitAttr()
    kernel.attributes["sparsert.schedule"] = tiled.product.schedule_attr()
    return kernel


def _one_tile(
    code: Code,
    tiled: TiledProduct,
    arrays: Values,
    column: SSAValue,
    width: int,
    panels: tuple[SSAValue, SSAValue],
) -> None:
    product = tiled.product
    x, column_of_x = arrays[product.position(product.product.x)], column
    if tiled.copies_x:
        copy = arrays[-1]
        _copy_tile(code, tiled, x, copy, column, width)
        x, column_of_x = copy, code.index(0)
    y = arrays[len(product.buffer_types()) - 1]

    def one_panel(inner: Code, panel: SSAValue) -> None:
        sums = _sums(inner, tiled, x, column_of_x, width, panel)
        _write(inner, product, arrays, y, column, panel, sums)

    code.loop(*panels, code.index(1), one_panel)


def _copy_tile(
    code: Code, tiled: TiledProduct, x: SSAValue, copy: SSAValue, column: SSAValue, width: int
) -> None:
    """Copy the tile's columns of every row of x, converted to the element type of the copy."""
    x_type, copy_type = element_of(x), element_of(copy)

    def one_row(inner: Code, row: SSAValue) -> None:
        for start, size in pieces(width):
            lane = x_type if size == 1 else VectorType(x_type, [size])
            place = inner.add(column, inner.index(start))
            loaded = inner.insert(LoadColumnsOp(x, [row, place], lane))
            converted = convert(inner, loaded, copy_type)
            inner.do(StoreColumnsOp(converted, copy, [row, inner.index(start)]))

    code.loop(code.index(0), code.index(tiled.depth), code.index(1), one_row)


def _sums(
    code: Code, tiled: TiledProduct, x: SSAValue, column: SSAValue, width: int, panel: SSAValue
) -> Values:
    product = tiled.product
    op = product.product
    weight = code.insert(product.constant.clone())
    fold = None if element_of(x) == product.sum_type else product.fold
    group = code.index(0)
    return code.do(
        PanelProductOp(
            weight, x, column, panel, group, op.panels, op.splits, tiled.lane(width), fold
        )
    )


def _write(
    code: Code,
    product: ProductFunction,
    arrays: Values,
    y: SSAValue,
    column: SSAValue,
    panel: SSAValue,
    sums: Values,
) -> None:
    op = product.product
    residual = None if op.residual is None else arrays[product.position(op.residual)]
    code.do(
        WritePanelOp(
            sums,
            y,
            column,
            panel,
            op.panels,
            bias=product.bias(),
            activation=op.activation,
            residual=residual,
            residual_after_activation=op.residual_after_activation,
        )
    )
