"""Host code that writes the sums of a convolution's tile to the images of its result."""

from dataclasses import dataclass

from xdsl.dialects import arith, func
from xdsl.dialects.builtin import IndexType, MemRefType, VectorType, i32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from sparsert_ir.building import Code, array_type, constant_table
from sparsert_ir.cpu.image_tiles import ImageTiles
from sparsert_ir.dialects.sparsert import FirstColumnOp, LoadColumnsOp
from sparsert_ir.epilogue import RowWriter
from sparsert_ir.kernel_function import ProductFunction

_WIDEST_LANE = 16


@dataclass(frozen=True)
class ResultWriter:
    """Makes `@name(sums, [residual,] y, panel, image, line)`: what becomes of the sums of one panel
    for the tile whose first line is `line`, R x M with the columns of the padded copy. `tiles` are
    those of the convolution that the sums come from.
    """

    product: ProductFunction
    tiles: ImageTiles
    name: str

    def tables(self) -> list[Operation]:
        """The globals that the function reads."""
        panels = constant_table(f"{self.name}_rows", self.product.product.panels)
        bias = self.product.bias()
        return [panels] if bias is None else [panels, constant_table(f"{self.name}_bias", bias)]

    def sums_type(self) -> MemRefType[Attribute]:
        shape = [self.product.panel_height, self.tiles.copy.columns]
        return array_type(shape, self.product.sum_type)

    def function(self) -> func.FuncOp:
        has_residual = self.product.product.residual is not None
        y_type = self.product.buffer_types()[-1]
        outputs = [y_type] * (2 if has_residual else 1)
        types = [self.sums_type(), *outputs, *[IndexType()] * 3]
        block = Block(arg_types=types)
        code = Code(block)
        sums, *arrays, panel, image, line = block.args
        writer = self._writer(code, arrays[-1], arrays[0] if has_residual else None)
        panels = self.product.product.panels
        rows = code.table(f"{self.name}_rows", array_type(panels.get_shape(), i32))
        zero, one = code.index(0), code.index(1)

        def one_row(inner: Code, row: SSAValue) -> None:
            number = inner.load(rows, panel, row)
            none = inner.insert(arith.ConstantOp.from_int_and_width(0, 32))
            present = inner.compare(number, "sge", none)
            inner.when(
                present,
                lambda last: self._write_row(
                    last, writer, [sums, row], last.as_index(number), image, line
                ),
            )

        code.loop(zero, code.index(self.product.panel_height), one, one_row)
        code.do(func.ReturnOp())
        return func.FuncOp(self.name, (types, []), Region(block), visibility="private")

    def _writer(self, code: Code, y: SSAValue, residual: SSAValue | None) -> RowWriter:
        op, bias = self.product.product, self.product.bias()
        table = None
        if bias is not None:
            kind = array_type(bias.get_shape(), self.product.sum_type)
            table = code.table(f"{self.name}_bias", kind)
        return RowWriter(
            y=y,
            residual=residual,
            bias_table=table,
            activation=op.activation,
            residual_after_activation=op.residual_after_activation,
            streaming=False,
            window=self.product.result_window,
        )

    def _write_row(
        self,
        code: Code,
        writer: RowWriter,
        source: list[SSAValue],
        number: SSAValue,
        image: SSAValue,
        line: SSAValue,
    ) -> None:
        """Store row `number` of the result from a row of the sums, `source`."""
        (sums, row), (height, width) = source, self.tiles.window.output
        lane_width = self._lane_width()
        lane: Attribute = self.product.sum_type
        if lane_width > 1:
            lane = VectorType(self.product.sum_type, [lane_width])
        zero, one = code.index(0), code.index(1)
        lanes = code.index(-(-width // lane_width))
        first_line = code.add(code.multiply(image, code.index(height)), line)
        first = code.multiply(first_line, code.index(width))

        def one_line(code: Code, y: SSAValue) -> None:
            begin = code.multiply(y, code.index(self.tiles.copy.pitch))
            target = code.add(first, code.multiply(y, code.index(width)))

            def one_lane(inner: Code, place: SSAValue) -> None:
                x = inner.insert(FirstColumnOp(place, lane_width, within=width))
                total = inner.insert(LoadColumnsOp(sums, [row, inner.add(begin, x)], lane))
                writer.write(inner, total, number, inner.add(target, x))

            code.loop(zero, lanes, one, one_lane)

        code.loop(zero, self._lines(code, line), one, one_line)

    def _lines(self, code: Code, line: SSAValue) -> SSAValue:
        """Lines of the tile that the image has."""
        height, lines = self.tiles.window.output[0], code.index(self.tiles.lines)
        if height % self.tiles.lines == 0:
            return lines
        return code.minimum(lines, code.insert(arith.SubiOp(code.index(height), line)))

    def _lane_width(self) -> int:
        """Columns of a row of the result that one access stores."""
        if self.tiles.window.layout == "nhwc":
            return 1
        width = 1
        while 2 * width <= min(_WIDEST_LANE, self.tiles.window.output[1]):
            width *= 2
        return width
