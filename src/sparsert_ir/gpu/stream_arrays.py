"""The arrays of a kernel that streams a packed matrix, and how its code finds its way in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from xdsl.dialects import arith
from xdsl.ir import SSAValue

from sparsert_ir.building import Code
from sparsert_ir.dialects import gpu
from sparsert_ir.epilogue import RowWriter
from sparsert_ir.gpu.staging import StagedSlice
from sparsert_ir.gpu.stream_choice import tile_columns, tile_dimension
from sparsert_ir.gpu_facts import WARP
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.layout.packing import StreamLayout


@dataclass(frozen=True)
class Steps:
    """Of a panel in one slice of x: the first, and the one past the last."""

    begin: SSAValue
    end: SSAValue


@dataclass(frozen=True)
class StreamArrays:
    """buffers: x, the residual if there is one, y. tables: the packed arrays, by name.
    staged:  a slice of x in shared memory, with a row of zeros after it.
    """

    product: ProductFunction
    layout: StreamLayout
    buffers: list[SSAValue]
    tables: dict[str, SSAValue]
    staged: StagedSlice

    @property
    def x(self) -> SSAValue:
        return self.buffers[self.product.position(self.product.product.x)]

    def lane(self, code: Code) -> SSAValue:
        """The thread's number in its warp."""
        return code.insert(arith.RemUIOp(code.insert(gpu.ThreadIdOp("x")), code.index(WARP)))

    def first_column(self, code: Code) -> SSAValue:
        """Of the block's tile."""
        tile = code.index(tile_columns(self.product.schedule))
        block = code.insert(gpu.BlockIdOp(tile_dimension(self.product)))
        return code.multiply(block, tile)

    def steps(self, code: Code, panel: SSAValue, slice_number: int | SSAValue) -> Steps:
        starts = self.tables["starts"]
        place = code.multiply(panel, code.index(self.layout.slices))
        number = code.index(slice_number) if isinstance(slice_number, int) else slice_number
        place = code.add(place, number)
        return Steps(
            code.as_index(code.load(starts, place)),
            code.as_index(code.load(starts, code.add(place, code.index(1)))),
        )

    def row(self, code: Code, panel: SSAValue, within: SSAValue) -> SSAValue:
        """The number of a row of the panel in the matrix; -1 where the panel is not full."""
        layout = self.layout
        heights = list(zip(layout.panel_rows, layout.panels, strict=True))
        before = [
            sum((rows - height) * number for rows, number in heights[:i])
            for i, height in enumerate(layout.panel_rows)
        ]
        height = self.of_panel(code, panel, layout.panel_rows)
        first = code.add(code.multiply(panel, height), self.of_panel(code, panel, before))
        return code.load(self.tables["rows"], code.add(first, within))

    def of_panel(self, code: Code, panel: SSAValue, numbers: Sequence[int]) -> SSAValue:
        """The number that belongs to the height of `panel`."""
        chosen = code.index(numbers[0])
        first = accumulate(self.layout.panels)
        for number, begin in zip(numbers[1:], first, strict=False):
            before = code.compare(panel, "ult", code.index(begin))
            chosen = code.select(before, chosen, code.index(number))
        return chosen

    def writer(self) -> RowWriter:
        """What applies the epilogue and stores."""
        op = self.product.product
        residual = None if op.residual is None else self.buffers[self.product.position(op.residual)]
        return RowWriter(
            y=self.buffers[-1],
            residual=residual,
            bias_table=self.tables.get("bias"),
            activation=op.activation,
            residual_after_activation=op.residual_after_activation,
            streaming=self.product.schedule.stores == "streaming",
            window=self.product.result_window,
        )
