"""A depthwise convolution on a CPU, tile by tile, before the product that reads its result."""

from dataclasses import dataclass

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.building import Code, Values, array_type
from sparsert_ir.cpu.image_copy import TileCopy
from sparsert_ir.cpu.image_tiles import ImageTiles
from sparsert_ir.cpu.tile_sources import Lanes, TilePlace
from sparsert_ir.dense import Array, to_dense, to_numpy
from sparsert_ir.dialects.sparsert import ConstantOp, PanelProductOp, WritePanelOp
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.layout.partition import whole_splits


@dataclass(frozen=True)
class DepthwiseImages:
    """The result of the depthwise convolution, all channels, with the columns of the padded copy.

    One channel at a time is copied to memory that stays in the nearest cache, and its rows of the
    result are made from there.
    """

    product: ProductFunction
    filter: ConstantOp
    tiles: ImageTiles
    lanes: Lanes

    @property
    def _copy(self) -> TileCopy:
        types = self.product.element_type, self.product.sum_type
        return TileCopy(f"{self.product.name}_copy", self.tiles, 1, *types)

    @property
    def buffer_type(self) -> MemRefType[Attribute]:
        return array_type([self.filter.shape[0], self.tiles.row_stride], self.product.sum_type)

    @property
    def positions(self) -> None:
        return None

    @property
    def scratch_types(self) -> list[MemRefType[Attribute]]:
        return [self._copy.copy_type]

    def functions(self) -> list[func.FuncOp]:
        return [self._copy.function()]

    def fill(
        self, code: Code, x: SSAValue, buffer: SSAValue, scratch: Values, place: TilePlace
    ) -> None:
        channels = self.tiles.window.channels
        per_channel = code.index(self.filter.shape[0] // channels)

        def one_channel(inner: Code, channel: SSAValue) -> None:
            arguments = [x, scratch[0], place.image, place.line, channel]
            inner.do(func.CallOp(self._copy.name, arguments, []))
            first = inner.multiply(channel, per_channel)
            last = inner.add(first, per_channel)
            inner.loop(
                first,
                last,
                inner.index(1),
                lambda code, row: self.lanes.loop(
                    code, lambda at, column: self._write(at, buffer, scratch[0], row, column)
                ),
            )

        code.loop(code.index(0), code.index(channels), code.index(1), one_channel)

    def _write(
        self, code: Code, buffer: SSAValue, copy: SSAValue, row: SSAValue, column: SSAValue
    ) -> None:
        """A lane of one row; each row is a panel."""
        rows, depth = self.filter.shape
        panels = to_dense(np.arange(rows, dtype=np.int32).reshape(-1, 1))
        sums = code.do(
            PanelProductOp(
                code.insert(self.filter.clone()),
                copy,
                column,
                row,
                code.index(0),
                panels,
                to_dense(whole_splits(rows, depth)),
                self.lanes.type,
                positions=to_dense(self._positions_in_channel(), "int32"),
            )
        )
        code.do(
            WritePanelOp(
                sums,
                buffer,
                column,
                row,
                panels,
                bias=self.product.depthwise_bias(),
                activation=self.product.product.depthwise_activation,
            )
        )

    def _positions_in_channel(self) -> Array:
        """Where the elements of a row's own channel lie in the copy of that channel alone."""
        copy = self.tiles.copy
        taps = to_numpy(self.filter.column_indices)
        channel, _, _ = self.tiles.window.taps(taps)
        return copy.positions(taps) - channel * copy.planes * copy.plane
