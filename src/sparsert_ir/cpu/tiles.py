"""The functions that a product becomes on a CPU: loops over column tiles and panels."""

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.dialects import func
from xdsl.dialects.builtin import MemRefType, VectorType
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.building import Code, Values, array_type
from sparsert_ir.cpu.column_tiles import ColumnTiles, column_tiles, pieces
from sparsert_ir.cpu.functions import KernelFunctions, Share
from sparsert_ir.dialects.sparsert import (
    FirstColumnOp,
    LoadColumnsOp,
    PanelProductOp,
    StoreColumnsOp,
    WritePanelOp,
)
from sparsert_ir.epilogue import convert, element_of
from sparsert_ir.kernel_function import ProductFunction


@dataclass(frozen=True)
class TiledProduct:
    """A product whose columns are cut into tiles."""

    product: ProductFunction

    @property
    def tiles(self) -> ColumnTiles:
        return column_tiles(self.product.columns, self.product.schedule.columns_per_thread)

    @property
    def depth(self) -> int:
        """K: rows of x."""
        return self.product.constant.shape[1]

    @property
    def copy_type(self) -> MemRefType[Attribute] | None:
        """The copy of one tile of x, in the element type of the sums."""
        if self.product.schedule.staging != "copy":
            return None
        return array_type([self.depth, self.tiles.row_stride], self.product.sum_type)

    def lane(self, width: int) -> Attribute:
        """What a row of a tile is summed in."""
        kind = self.product.sum_type
        return kind if width == 1 else VectorType(kind, [width])

    def functions(self) -> list[func.FuncOp]:
        """The functions to call, and the kernel."""
        functions = KernelFunctions(self.product, self.tiles.count, self.copy_type)
        return functions.build(lambda code, share: _write_tiles(code, self, share))


def _write_tiles(code: Code, tiled: TiledProduct, share: Share) -> None:
    (first, last), one, whole = share.tiles, code.index(1), code.index(tiled.tiles.whole)

    def tile_of(width: int) -> Callable[[Code, SSAValue], None]:
        def body(inner: Code, tile: SSAValue) -> None:
            column = inner.insert(FirstColumnOp(tile, tiled.tiles.width))
            _one_tile(inner, tiled, share, column, width)

        return body

    if tiled.tiles.whole:
        code.loop(first, code.minimum(last, whole), one, tile_of(tiled.tiles.width))
    if tiled.tiles.tail:
        has_tail = code.compare(whole, "ult", last)
        code.when(has_tail, lambda inner: tile_of(tiled.tiles.tail)(inner, whole))


def _one_tile(code: Code, tiled: TiledProduct, share: Share, column: SSAValue, width: int) -> None:
    product = tiled.product
    x, column_of_x = share.arrays[product.position(product.product.x)], column
    if share.copy is not None:
        _copy_tile(code, tiled, x, share.copy, column, width)
        x, column_of_x = share.copy, code.index(0)

    def one_panel(inner: Code, panel: SSAValue) -> None:
        sums = _sums(inner, tiled, x, column_of_x, width, panel)
        _write(inner, product, share.arrays, column, panel, sums)

    code.loop(*share.panels, code.index(1), one_panel)


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
    column: SSAValue,
    panel: SSAValue,
    sums: Values,
) -> None:
    op = product.product
    residual = None if op.residual is None else arrays[product.position(op.residual)]
    code.do(
        WritePanelOp(
            sums,
            arrays[-1],
            column,
            panel,
            op.panels,
            bias=product.bias(),
            activation=op.activation,
            residual=residual,
            residual_after_activation=op.residual_after_activation,
        )
    )
