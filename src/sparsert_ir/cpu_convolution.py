"""The functions that a convolution becomes on a CPU: loops over tiles of images and panels."""

from dataclasses import dataclass

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import VectorType
from xdsl.ir import Attribute, Operation, SSAValue

from sparsert_ir.building import Code
from sparsert_ir.cpu_functions import KernelFunctions, Share
from sparsert_ir.dense import to_dense
from sparsert_ir.dialects.sparsert import FirstColumnOp, PanelProductOp, StoreColumnsOp
from sparsert_ir.image_copy import TileCopy
from sparsert_ir.image_results import ResultWriter
from sparsert_ir.image_tiles import ImageTiles, image_tiles
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.window import Window


@dataclass(frozen=True)
class TiledConvolution:
    """A convolution whose result is computed tile by tile, each from a padded copy of what it
    reads, in the element type of the sums.
    """

    product: ProductFunction
    window: Window

    @property
    def tiles(self) -> ImageTiles:
        return image_tiles(self.window, self.product.schedule.columns_per_thread)

    @property
    def lane_width(self) -> int:
        return self.tiles.lane(self.product.schedule.columns_per_thread)

    def lane(self) -> Attribute:
        """What a row is summed in."""
        kind = self.product.sum_type
        return kind if self.lane_width == 1 else VectorType(kind, [self.lane_width])

    def functions(self) -> list[Operation]:
        """Functions and tables; the first function is the one to call."""
        product, name = self.product, self.product.name
        copy = TileCopy(f"{name}_copy", self.tiles, product.element_type, product.sum_type)
        results = ResultWriter(product, self.tiles, f"{name}_results")
        functions = KernelFunctions(product, self.tiles.count, copy.copy_type)
        whole, part, kernel = functions.build(
            lambda code, share: self._write_tiles(code, copy, results, share)
        )
        return [whole, part, *results.tables(), copy.function(), results.function(), kernel]

    def _write_tiles(self, code: Code, copy: TileCopy, results: ResultWriter, share: Share) -> None:
        """For each tile its copy; for each panel its sums, and from them the results."""
        assert share.copy is not None
        x = share.arrays[self.product.position(self.product.product.x)]
        sums = code.insert(memref.AllocOp([], [], results.sums_type()))
        outputs, padded = self._outputs(share), share.copy

        def one_tile(inner: Code, tile: SSAValue) -> None:
            image, number = inner.divide(tile, self.tiles.per_image)
            line = inner.multiply(number, inner.index(self.tiles.lines))
            inner.do(func.CallOp(copy.name, [x, padded, image, line], []))

            def one_panel(code: Code, panel: SSAValue) -> None:
                self._write_sums(code, padded, sums, panel)
                code.do(func.CallOp(results.name, [sums, *outputs, panel, image, line], []))

            inner.loop(*share.panels, inner.index(1), one_panel)

        code.loop(*share.tiles, code.index(1), one_tile)
        code.do(memref.DeallocOp.get(sums))

    def _outputs(self, share: Share) -> list[SSAValue]:
        """The residual, where there is one, and y."""
        residual = self.product.product.residual
        before = [] if residual is None else [share.arrays[self.product.position(residual)]]
        return [*before, share.arrays[-1]]

    def _write_sums(self, code: Code, copy: SSAValue, sums: SSAValue, panel: SSAValue) -> None:
        """The sums of one panel for all columns of a tile."""
        product, columns = self.product, self.tiles.copy.columns
        op, lanes = product.product, -(-columns // self.lane_width)

        def one_lane(inner: Code, column: SSAValue) -> None:
            totals = inner.do(
                PanelProductOp(
                    inner.insert(product.constant.clone()),
                    copy,
                    column,
                    panel,
                    inner.index(0),
                    op.panels,
                    op.splits,
                    self.lane(),
                    positions=to_dense(self.tiles.copy.positions, "int32"),
                )
            )
            for row, total in enumerate(totals):
                inner.do(StoreColumnsOp(total, sums, [inner.index(row), column]))

        def numbered(inner: Code, number: SSAValue) -> None:
            one_lane(inner, inner.insert(FirstColumnOp(number, self.lane_width, within=columns)))

        if lanes == 1:
            one_lane(code, code.index(0))
        else:
            code.loop(code.index(0), code.index(lanes), code.index(1), numbered)
