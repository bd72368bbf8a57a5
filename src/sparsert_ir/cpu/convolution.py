"""The functions that a convolution becomes on a CPU: loops over tiles of images and panels."""

from dataclasses import dataclass

from xdsl.dialects import func, memref
from xdsl.ir import Operation, SSAValue

from sparsert_ir.building import Code, Values
from sparsert_ir.cpu.depthwise import DepthwiseImages
from sparsert_ir.cpu.functions import KernelFunctions, Share
from sparsert_ir.cpu.image_results import ResultWriter
from sparsert_ir.cpu.image_tiles import ImageTiles, image_tiles
from sparsert_ir.cpu.tile_sources import Lanes, PaddedImages, TilePlace, TileSource
from sparsert_ir.dialects.sparsert import PanelProductOp, StoreColumnsOp
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.window import Window


@dataclass(frozen=True)
class TiledConvolution:
    """A convolution whose result is computed tile by tile, each from a buffer that is filled for it
    first, in the element type of the sums: with a padded copy of what the tile reads, or with the
    result of a depthwise convolution.
    """

    product: ProductFunction
    window: Window

    @property
    def tiles(self) -> ImageTiles:
        return image_tiles(self.window, self.product.schedule.columns_per_thread)

    @property
    def lanes(self) -> Lanes:
        width = self.tiles.lane(self.product.schedule.columns_per_thread)
        return Lanes(self.tiles.copy.columns, width, self.product.sum_type)

    @property
    def source(self) -> TileSource:
        depthwise = self.product.depthwise
        if depthwise is None:
            return PaddedImages(self.product, self.tiles)
        return DepthwiseImages(self.product, depthwise, self.tiles, self.lanes)

    def functions(self) -> list[Operation]:
        """Functions and tables; the first function is the one to call."""
        results = ResultWriter(self.product, self.tiles, f"{self.product.name}_results")
        functions = KernelFunctions(self.product, self.tiles.count, self.source.buffer_type)
        whole, part, kernel = functions.build(
            lambda code, share: self._write_tiles(code, results, share)
        )
        called = [*self.source.functions(), results.function()]
        return [whole, part, *results.tables(), *called, kernel]

    def _write_tiles(self, code: Code, results: ResultWriter, share: Share) -> None:
        """For each tile its buffer; for each panel its sums, and from them the results."""
        assert share.copy is not None
        source, buffer, outputs = self.source, share.copy, self._outputs(share)
        x = share.arrays[self.product.position(self.product.product.x)]
        sums, *scratch = [
            code.insert(memref.AllocOp([], [], kind))
            for kind in (results.sums_type(), *source.scratch_types)
        ]

        def one_tile(inner: Code, tile: SSAValue) -> None:
            image, number = inner.divide(tile, self.tiles.per_image)
            line = inner.multiply(number, inner.index(self.tiles.lines))
            source.fill(inner, x, buffer, scratch, TilePlace(image, line))

            def one_panel(code: Code, panel: SSAValue) -> None:
                self._write_sums(code, source, buffer, sums, panel)
                code.do(func.CallOp(results.name, [sums, *outputs, panel, image, line], []))

            inner.loop(*share.panels, inner.index(1), one_panel)

        code.loop(*share.tiles, code.index(1), one_tile)
        for memory in (sums, *scratch):
            code.do(memref.DeallocOp.get(memory))

    def _outputs(self, share: Share) -> list[SSAValue]:
        """The residual, where there is one, and y."""
        residual = self.product.product.residual
        before = [] if residual is None else [share.arrays[self.product.position(residual)]]
        return [*before, share.arrays[-1]]

    def _write_sums(
        self, code: Code, source: TileSource, buffer: SSAValue, sums: SSAValue, panel: SSAValue
    ) -> None:
        """The sums of one panel for all columns of a tile."""

        def one_lane(inner: Code, column: SSAValue) -> None:
            totals = self._sums(inner, source, buffer, column, panel)
            for row, total in enumerate(totals):
                inner.do(StoreColumnsOp(total, sums, [inner.index(row), column]))

        self.lanes.loop(code, one_lane)

    def _sums(
        self, code: Code, source: TileSource, buffer: SSAValue, column: SSAValue, panel: SSAValue
    ) -> Values:
        """Of a panel, for the lane at `column` of the tile."""
        op = self.product.product
        return code.do(
            PanelProductOp(
                code.insert(self.product.constant.clone()),
                buffer,
                column,
                panel,
                code.index(0),
                op.panels,
                op.splits,
                self.lanes.type,
                positions=source.positions,
            )
        )
