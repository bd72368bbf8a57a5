"""What a convolution's kernel on a CPU reads for a tile, and how it gets there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from xdsl.dialects import func
from xdsl.dialects.builtin import AnyFloat, MemRefType, VectorType
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.building import Code, Values
from sparsert_ir.cpu.image_copy import TileCopy
from sparsert_ir.cpu.image_tiles import ImageTiles
from sparsert_ir.dense import Dense, to_dense, to_numpy
from sparsert_ir.dialects.sparsert import FirstColumnOp
from sparsert_ir.kernel_function import ProductFunction


@dataclass(frozen=True)
class Lanes:
    """The columns of a tile as lanes of `width`, the last one moved back."""

    columns: int
    width: int
    kind: AnyFloat

    @property
    def type(self) -> Attribute:
        return self.kind if self.width == 1 else VectorType(self.kind, [self.width])

    def loop(self, code: Code, body: Callable[[Code, SSAValue], None]) -> None:
        """`body` gets the first column of each lane."""
        count = -(-self.columns // self.width)

        def numbered(inner: Code, number: SSAValue) -> None:
            body(inner, inner.insert(FirstColumnOp(number, self.width, within=self.columns)))

        if count == 1:
            body(code, code.index(0))
        else:
            code.loop(code.index(0), code.index(count), code.index(1), numbered)


@dataclass(frozen=True)
class TilePlace:
    """Which tile: its image, and its first line there."""

    image: SSAValue
    line: SSAValue


class TileSource(Protocol):
    """Fills a buffer for each tile, from which the sums of every panel are made.

    positions:     of the nonzeros' elements of x in a flat buffer; None: its rows are the columns.
    scratch_types: of memory that filling takes besides.
    """

    @property
    def buffer_type(self) -> MemRefType[Attribute]: ...

    @property
    def positions(self) -> Dense | None: ...

    @property
    def scratch_types(self) -> list[MemRefType[Attribute]]: ...

    def functions(self) -> list[func.FuncOp]:
        """What `fill` calls."""
        ...

    def fill(
        self, code: Code, x: SSAValue, buffer: SSAValue, scratch: Values, place: TilePlace
    ) -> None: ...


@dataclass(frozen=True)
class PaddedImages:
    """The padded copy of all channels."""

    product: ProductFunction
    tiles: ImageTiles

    @property
    def _copy(self) -> TileCopy:
        product, channels = self.product, self.tiles.window.channels
        types = product.element_type, product.sum_type
        return TileCopy(f"{product.name}_copy", self.tiles, channels, *types)

    @property
    def buffer_type(self) -> MemRefType[Attribute]:
        return self._copy.copy_type

    @property
    def positions(self) -> Dense:
        columns = to_numpy(self.product.constant.column_indices)
        return to_dense(self.tiles.copy.positions(columns), "int32")

    @property
    def scratch_types(self) -> list[MemRefType[Attribute]]:
        return []

    def functions(self) -> list[func.FuncOp]:
        return [self._copy.function()]

    def fill(
        self, code: Code, x: SSAValue, buffer: SSAValue, scratch: Values, place: TilePlace
    ) -> None:
        arguments = [x, buffer, place.image, place.line, code.index(0)]
        code.do(func.CallOp(self._copy.name, arguments, []))
