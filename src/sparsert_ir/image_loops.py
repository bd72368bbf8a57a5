"""Loops over images in host code: the padded copy of x before a convolution, the results after it.

See padding.py for what the copy is and why.
"""

from dataclasses import dataclass

from xdsl.dialects import arith, func, memref
from xdsl.dialects.builtin import AnyFloat, IndexType, MemRefType, VectorType, i32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from sparsert_ir.building import Code, array_type, constant_table
from sparsert_ir.dialects.sparsert import FirstColumnOp, LoadColumnsOp
from sparsert_ir.epilogue import RowWriter
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.padding import PaddedCopy, copied_range
from sparsert_ir.window import Window

_WIDEST_LANE = 16


def copy_type(window: Window, copy: PaddedCopy, element_type: AnyFloat) -> MemRefType[Attribute]:
    """The padded copy as an array of one dimension."""
    size = window.batch * window.channels * copy.planes * copy.plane
    return array_type([size], element_type)


def copy_function(
    name: str, window: Window, copy: PaddedCopy, element_type: AnyFloat
) -> func.FuncOp:
    """`@name(x, copy)` fills the padded copy."""
    types = [
        array_type(window.array_shape, element_type),
        copy_type(window, copy, element_type),
    ]
    block = Block(arg_types=types)
    code = Code(block)
    x, target = block.args
    zero, one = code.index(0), code.index(1)
    nothing = code.number(0.0, element_type)
    size = code.index(types[1].get_shape()[0])

    def clear(inner: Code, place: SSAValue) -> None:
        inner.do(memref.StoreOp.get(nothing, target, [place]))

    code.loop(zero, size, one, clear)
    for number, (down, right) in enumerate(_phases(copy)):
        _PhaseCopy(window, copy, x, target, number, down, right).write(code)
    code.do(func.ReturnOp())
    return func.FuncOp(name, (types, []), Region(block))


def _phases(copy: PaddedCopy) -> list[tuple[int, int]]:
    return [(int(down), int(right)) for down in copy.down.phases for right in copy.right.phases]


@dataclass(frozen=True)
class _PhaseCopy:
    """Copies one phase of every image and channel: plane `number` of each channel."""

    window: Window
    copy: PaddedCopy
    x: SSAValue
    target: SSAValue
    number: int
    down: int
    right: int

    def write(self, code: Code) -> None:
        window = self.window
        rows = copied_range(window, 0, self.down, self.copy.down.size)
        columns = copied_range(window, 1, self.right, self.copy.right.size)
        if rows[0] == rows[1] or columns[0] == columns[1]:
            return
        one, images = code.index(1), code.index(window.batch)
        first, channels = code.index(0), code.index(window.channels)
        first_row, last_row = code.index(rows[0]), code.index(rows[1])
        first_column, last_column = code.index(columns[0]), code.index(columns[1])

        def one_image(code: Code, image: SSAValue) -> None:
            def one_channel(code: Code, channel: SSAValue) -> None:
                plane = self._plane(code, image, channel)

                def one_row(code: Code, row: SSAValue) -> None:
                    begin = code.add(plane, code.multiply(row, code.index(self.copy.pitch)))
                    y = self._source(code, row, 0, self.down)

                    def one_column(code: Code, column: SSAValue) -> None:
                        x = self._source(code, column, 1, self.right)
                        place = [image, channel, y, x]
                        if window.layout == "nhwc":
                            place = [image, y, x, channel]
                        number = code.load(self.x, *place)
                        target = code.add(begin, column)
                        code.do(memref.StoreOp.get(number, self.target, [target]))

                    code.loop(first_column, last_column, one, one_column)

                code.loop(first_row, last_row, one, one_row)

            code.loop(first, channels, one, one_channel)

        code.loop(first, images, one, one_image)

    def _plane(self, code: Code, image: SSAValue, channel: SSAValue) -> SSAValue:
        """Where the plane begins in the copy."""
        channels = code.multiply(image, code.index(self.window.channels))
        plane = code.multiply(code.add(channels, channel), code.index(self.copy.planes))
        return code.multiply(code.add(plane, code.index(self.number)), code.index(self.copy.plane))

    def _source(self, code: Code, place: SSAValue, axis: int, phase: int) -> SSAValue:
        """The image's row or column that stands at row or column `place` of the plane."""
        scaled = code.multiply(place, code.index(self.window.strides[axis]))
        shift = phase - self.window.padding[axis]
        if shift >= 0:
            return code.add(scaled, code.index(shift))
        return code.insert(arith.SubiOp(scaled, code.index(-shift)))


@dataclass(frozen=True)
class ResultWriter:
    """Makes `@name(sums, [residual,] y, panel, image)`: what becomes of the sums of one panel for
    one image, R x M with the columns of the padded copy.
    """

    product: ProductFunction
    window: Window
    copy: PaddedCopy
    name: str

    def tables(self) -> list[Operation]:
        """The globals that the function reads."""
        panels = constant_table(f"{self.name}_rows", self.product.product.panels)
        bias = self.product.bias()
        return [panels] if bias is None else [panels, constant_table(f"{self.name}_bias", bias)]

    def sums_type(self) -> MemRefType[Attribute]:
        shape = [self.product.panel_height, self.copy.columns]
        return array_type(shape, self.product.sum_type)

    def function(self) -> func.FuncOp:
        has_residual = self.product.product.residual is not None
        y_type = self.product.buffer_types()[-1]
        outputs = [y_type] * (2 if has_residual else 1)
        types = [self.sums_type(), *outputs, IndexType(), IndexType()]
        block = Block(arg_types=types)
        code = Code(block)
        sums, *arrays, panel, image = block.args
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
                lambda last: self._write_row(last, writer, sums, row, last.as_index(number), image),
            )

        code.loop(zero, code.index(self.product.panel_height), one, one_row)
        code.do(func.ReturnOp())
        return func.FuncOp(self.name, (types, []), Region(block))

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
        sums: SSAValue,
        row: SSAValue,
        number: SSAValue,
        image: SSAValue,
    ) -> None:
        """Store row `number` of the result from row `row` of the panel's sums."""
        height, width = self.window.output
        lane_width = self._lane_width()
        lane: Attribute = self.product.sum_type
        if lane_width > 1:
            lane = VectorType(self.product.sum_type, [lane_width])
        zero, one = code.index(0), code.index(1)
        lanes = code.index(-(-width // lane_width))
        first = code.multiply(image, code.index(height * width))

        def one_line(code: Code, y: SSAValue) -> None:
            source = code.multiply(y, code.index(self.copy.pitch))
            target = code.add(first, code.multiply(y, code.index(width)))

            def one_lane(inner: Code, place: SSAValue) -> None:
                x = inner.insert(FirstColumnOp(place, lane_width, within=width))
                total = inner.insert(LoadColumnsOp(sums, [row, inner.add(source, x)], lane))
                writer.write(inner, total, number, inner.add(target, x))

            code.loop(zero, lanes, one, one_lane)

        code.loop(zero, code.index(height), one, one_line)

    def _lane_width(self) -> int:
        """Columns of a row of the result that one access stores."""
        if self.window.layout == "nhwc":
            return 1
        width = 1
        while 2 * width <= min(_WIDEST_LANE, self.window.output[1]):
            width *= 2
        return width
