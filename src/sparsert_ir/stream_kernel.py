"""The kernel that streams a packed matrix: its code, its launch, its arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import gcd
from typing import cast

from xdsl.dialects import arith, func, math, memref, scf, vector
from xdsl.dialects.builtin import (
    AnyFloat,
    IntegerAttr,
    MemRefType,
    SymbolRefAttr,
    VectorType,
    f32,
    i16,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from sparsert_ir.building import (
    Code,
    Values,
    array_type,
    constant_table,
    memref_of,
    workgroup_buffer,
)
from sparsert_ir.dense import Dense, to_dense
from sparsert_ir.dialects import gpu, nvvm
from sparsert_ir.dialects.sparsert import (
    LoadColumnsOp,
    StoreColumnsOp,
    StreamLayoutAttr,
    lane_element,
    lane_width,
)
from sparsert_ir.epilogue import RowWriter, convert, splat, with_element
from sparsert_ir.gpu_facts import WARP, WORKGROUP
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.packing import StreamLayout, pack_stream
from sparsert_ir.staging import SliceCopy
from sparsert_ir.stream_choice import PIECE_BYTES, check_schedule, stream_layout, tile_columns
from sparsert_ir.window_staging import WindowCopy

X_SLICE = "x_slice"


@dataclass(frozen=True)
class _Lane:
    """Where a lane works: its warp's panel, its place in the stream, its row and columns.

    number:     of the row in the matrix; -1 where the panel is not full.
    sharing:    lanes that share the row.
    tile:       first column of the block.
    within:     first column of the lane, counted from `tile`.
    """

    panel: SSAValue
    reader: SSAValue
    number: SSAValue
    sharing: SSAValue
    first_of_row: SSAValue
    tile: SSAValue
    within: SSAValue


@dataclass(frozen=True)
class _Inputs:
    """What a kernel's body reads: x, its slice in shared memory, the packed arrays by name."""

    x: SSAValue
    staged: SSAValue
    tables: dict[str, SSAValue]
    where: _Lane


@dataclass(frozen=True)
class _Batch:
    """Chunks of a lane in registers: values, indices, whether each is inside the panel."""

    values: Values
    indices: Values

    def all(self) -> list[SSAValue]:
        return [*self.values, *self.indices]


@dataclass(frozen=True)
class StreamKernelBuilder:
    """Writes the kernel, the launch and the packed arrays of one product."""

    product: ProductFunction
    layout: StreamLayout
    tables: dict[str, Dense]

    @classmethod
    def of(cls, product: ProductFunction, shared_memory: int) -> "StreamKernelBuilder":
        check_schedule(product)
        layout, rows = stream_layout(product, shared_memory)
        stream = pack_stream(*product.constant.arrays(), rows, layout)
        tables = {
            "values": to_dense(stream.values),
            "indices": to_dense(stream.indices),
            "starts": to_dense(stream.starts),
            "rows": to_dense(rows),
        }
        bias = product.bias()
        if bias is not None:
            tables["bias"] = bias
        return cls(product, layout, tables)

    @property
    def _width(self) -> int:
        """Columns that a lane computes."""
        return self.product.schedule.columns_per_thread

    @property
    def _tile(self) -> int:
        """Columns that a block computes."""
        return tile_columns(self.product.schedule)

    @property
    def _lane_type(self) -> Attribute:
        return f32 if self._width == 1 else VectorType(f32, [self._width])

    @property
    def _warps(self) -> int:
        return self.product.schedule.threads // WARP

    @property
    def _blocks(self) -> int:
        """That share the panels."""
        return sum(self.layout.panels) // self._warps

    def _x_slice_type(self) -> MemRefType[Attribute]:
        """A slice of x, a row of zeros, and as many rows more as make it whole 16-byte pieces."""
        element_type = self.product.element_type
        together = PIECE_BYTES // gcd(PIECE_BYTES, self.layout.row_bytes)
        rows = -(-(self.layout.slice_columns + 1) // together) * together
        return array_type([rows, self._tile], element_type, WORKGROUP)

    def constants(self) -> list[Operation]:
        """The packed arrays as constants of the module."""
        return [constant_table(self._table_name(key), data) for key, data in self.tables.items()]

    def _table_name(self, key: str) -> str:
        return f"{self.product.name}_{key}"

    def launcher(self, module_name: str) -> func.FuncOp:
        """The function that launches the kernel with the packed arrays."""
        product = self.product
        types = product.buffer_types()
        block = Block(arg_types=types)
        code = Code(block)
        grid = [
            code.index(self._blocks),
            code.index(-(-product.columns // self._tile)),
            code.index(1),
        ]
        threads = [code.index(product.schedule.threads), code.index(1), code.index(1)]
        tables = [
            code.insert(memref.GetGlobalOp(self._table_name(key), memref_of(data.type)))
            for key, data in self.tables.items()
        ]
        kernel = SymbolRefAttr(module_name, [product.name])
        code.do(gpu.LaunchFuncOp(kernel, grid, threads, [*block.args, *tables]))
        code.do(func.ReturnOp())
        return func.FuncOp(product.name, (types, []), Region(block))

    def build(self) -> gpu.ModuleOp:
        product = self.product
        buffers = product.buffer_types()
        types = [*buffers, *(memref_of(data.type) for data in self.tables.values())]
        block = Block(arg_types=types)
        code = Code(block)
        arrays: list[SSAValue] = list(block.args[len(buffers) :])
        tables = dict(zip(self.tables, arrays, strict=True))
        self._write_body(code, list(block.args[: len(buffers)]), tables)
        code.do(gpu.ReturnOp())
        threads = (product.schedule.threads, 1, 1)
        kernel = gpu.FuncOp(product.name, types, Region(block), threads)
        kernel.attributes["sparsert.schedule"] = product.schedule_attr()
        kernel.attributes["sparsert.layout"] = StreamLayoutAttr(self.layout)
        kernel.attributes["sparsert.constants"] = IntegerAttr(len(self.tables), i64)
        contents: list[Operation] = [workgroup_buffer(X_SLICE, self._x_slice_type()), kernel]
        return gpu.ModuleOp(f"{product.name}_kernels", Region(Block(contents)))

    def _write_body(self, code: Code, buffers: list[SSAValue], tables: dict[str, SSAValue]) -> None:
        product = self.product
        inputs = _Inputs(
            x=buffers[product.position(product.product.x)],
            staged=code.table(X_SLICE, self._x_slice_type()),
            tables=tables,
            where=self._lane(code, tables["rows"]),
        )
        total = splat(code, code.number(0.0, f32), self._lane_type)
        for number in range(self.layout.slices):
            total = self._add_slice(code, number, inputs, total)
        total = self._add_lanes(code, total, inputs.where.sharing)
        self._write(code, total, buffers, inputs)

    def _lane(self, code: Code, rows: SSAValue) -> _Lane:
        thread = code.insert(gpu.ThreadIdOp("x"))
        warp_size = code.index(WARP)
        lane = code.insert(arith.RemUIOp(thread, warp_size))
        warp = code.insert(arith.DivUIOp(thread, warp_size))
        # Panels of many steps come first, so neighbours of one go to different blocks.
        panel = code.add(
            code.multiply(warp, code.index(self._blocks)), code.insert(gpu.BlockIdOp("x"))
        )
        groups = code.index(self.layout.column_groups)
        reader = code.insert(arith.DivUIOp(lane, groups))
        per_row = self._of_panel(code, panel, self.layout.readers_per_row)
        shift = [number.bit_length() - 1 for number in self.layout.readers_per_row]
        within = code.insert(arith.ShRUIOp(reader, self._of_panel(code, panel, shift)))
        # Loaded here rather than where it is needed, to be there by then.
        row = code.load(rows, code.add(self._first_slot(code, panel), within))
        place = code.both(reader, code.insert(arith.SubiOp(per_row, code.index(1))))
        return _Lane(
            panel=panel,
            reader=reader,
            number=row,
            sharing=code.multiply(per_row, groups),
            first_of_row=code.compare(place, "eq", code.index(0)),
            tile=code.multiply(code.insert(gpu.BlockIdOp("y")), code.index(self._tile)),
            within=code.multiply(code.insert(arith.RemUIOp(lane, groups)), code.index(self._width)),
        )

    def _first_slot(self, code: Code, panel: SSAValue) -> SSAValue:
        """Of a panel, counted over all panels."""
        layout = self.layout
        heights = list(zip(layout.panel_rows, layout.panels, strict=True))
        before = [
            sum((rows - height) * number for rows, number in heights[:i])
            for i, height in enumerate(layout.panel_rows)
        ]
        height = self._of_panel(code, panel, layout.panel_rows)
        return code.add(code.multiply(panel, height), self._of_panel(code, panel, before))

    def _of_panel(self, code: Code, panel: SSAValue, numbers: Sequence[int]) -> SSAValue:
        """The number that belongs to the height of `panel`."""
        chosen = code.index(numbers[0])
        first = accumulate(self.layout.panels)
        for number, begin in zip(numbers[1:], first, strict=False):
            before = code.compare(panel, "ult", code.index(begin))
            chosen = code.select(before, chosen, code.index(number))
        return chosen

    def _add_slice(self, code: Code, number: int, inputs: _Inputs, total: SSAValue) -> SSAValue:
        """Load the first chunks, stage the slice of x meanwhile, then multiply chunk by chunk."""
        where, starts = inputs.where, inputs.tables["starts"]
        place = code.add(
            code.multiply(where.panel, code.index(self.layout.slices)), code.index(number)
        )
        begin = code.as_index(code.load(starts, place))
        end = code.as_index(code.load(starts, code.add(place, code.index(1))))
        stages = self.product.schedule.stages
        first = self._load_batch(code, inputs, begin, end)
        if number == 0 and self.product.schedule.launch == "overlapped":
            code.do(nvvm.GridWaitOp())
            code.do(nvvm.GridLaunchDependentsOp())
        if number > 0:
            code.do(gpu.BarrierOp())
        self._stage(code, number, inputs)
        code.do(gpu.BarrierOp())

        def one_batch(inner: Code, step: SSAValue, carried: Values) -> Values:
            batch = _Batch(carried[1 : 1 + stages], carried[1 + stages :])
            after = inner.add(step, inner.index(stages))
            following = self._next_batch(inner, inputs, after, end, batch)
            new_total = carried[0]
            for i in range(stages):
                inside = inner.compare(inner.add(step, inner.index(i)), "ult", end)
                new_total = self._add_chunk(inner, inputs, batch, i, inside, new_total)
            return [new_total, *following]

        carried = [total, *first.all()]
        return code.sum_loop(begin, end, code.index(stages), carried, one_batch)[0]

    def _stage(self, code: Code, number: int, inputs: _Inputs) -> None:
        """Copy slice `number` of x, for this block's columns, to shared memory; a zero row last."""
        depth = self.product.constant.shape[1]
        first = number * self.layout.slice_columns
        threads = self.product.schedule.threads
        rows = min(self.layout.slice_columns, depth - first)
        window = self.product.product.window
        copy = (
            SliceCopy(
                element_type=self.product.element_type,
                threads=threads,
                columns=self.product.columns,
                depth=depth,
                width=self._tile,
                first=first,
                rows=rows,
                staged_rows=self._x_slice_type().get_shape()[0],
            )
            if window is None
            else WindowCopy(
                element_type=self.product.element_type,
                threads=threads,
                window=window.data,
                width=self._tile,
                first=first,
                rows=rows,
            )
        )
        copy.write(code, inputs.x, inputs.staged, inputs.where.tile)

        def clear(inner: Code, column: SSAValue) -> None:
            zero = inner.number(0.0, self.product.element_type)
            row = inner.index(self.layout.slice_columns)
            inner.do(StoreColumnsOp(zero, inputs.staged, [row, column]))

        thread = code.insert(gpu.ThreadIdOp("x"))
        if self._tile <= threads:
            inside = code.compare(thread, "ult", code.index(self._tile))
            code.when(inside, lambda inner: clear(inner, thread))
        else:
            code.loop(thread, code.index(self._tile), code.index(threads), clear)

    def _load_batch(self, code: Code, inputs: _Inputs, begin: SSAValue, end: SSAValue) -> _Batch:
        """Chunks of the steps from `begin` on; past the end, the last one again."""
        last = code.insert(arith.SubiOp(end, code.index(1)))
        values: list[SSAValue] = []
        indices: list[SSAValue] = []
        for i in range(self.product.schedule.stages):
            step = code.minimum(code.add(begin, code.index(i)), last)
            place = code.multiply(step, code.index(self.layout.readers))
            place = code.add(place, inputs.where.reader)
            for key, into in (("values", values), ("indices", indices)):
                table = inputs.tables[key]
                element = cast(MemRefType[Attribute], table.type).element_type
                kind = VectorType(element, [self.layout.chunk])
                into.append(code.insert(LoadColumnsOp(table, [place, code.index(0)], kind)))
        return _Batch(values, indices)

    def _next_batch(
        self, code: Code, inputs: _Inputs, begin: SSAValue, end: SSAValue, old: _Batch
    ) -> Values:
        """The chunks from `begin` on where there are any, else anything."""
        more = code.compare(begin, "ult", end)
        load, skip = Block(), Block()
        inner = Code(load)
        inner.end_with(self._load_batch(inner, inputs, begin, end).all())
        Code(skip).end_with(old.all())
        kinds = [value.type for value in old.all()]
        return code.do(scf.IfOp(more, kinds, Region(load), Region(skip)))

    def _add_chunk(
        self,
        code: Code,
        inputs: _Inputs,
        batch: _Batch,
        number: int,
        inside: SSAValue,
        total: SSAValue,
    ) -> SSAValue:
        """`total` plus the products of one chunk, if its step is inside the panel."""
        yes, no = Block(), Block()
        inner = Code(yes)
        values = convert(inner, batch.values[number], f32)
        added = total
        for place in range(self.layout.chunk):
            value = inner.insert(vector.ExtractOp(values, [place], f32))
            index = inner.insert(vector.ExtractOp(batch.indices[number], [place], i16))
            row = inner.as_index(inner.insert(arith.ExtUIOp(index, i32)))
            added = self._multiply_add(inner, inputs, row, value, added)
        inner.end_with([added])
        Code(no).end_with([total])
        return code.do(scf.IfOp(inside, [total.type], Region(yes), Region(no)))[0]

    def _multiply_add(
        self, code: Code, inputs: _Inputs, row: SSAValue, value: SSAValue, total: SSAValue
    ) -> SSAValue:
        lane = self._lane_type
        x_lane = with_element(lane, self.product.element_type)
        x = code.insert(LoadColumnsOp(inputs.staged, [row, inputs.where.within], x_lane))
        fma = vector.FMAOp if self._width > 1 else math.FmaOp
        return code.insert(fma(splat(code, value, lane), convert(code, x, f32), total))

    def _add_lanes(self, code: Code, total: SSAValue, sharing: SSAValue) -> SSAValue:
        """Add up the sums of a row's readers: neighbours first, then pairs of them.

        sharing: lanes that share the lane's row.
        """
        fewest, most = min(self.layout.readers_per_row), max(self.layout.readers_per_row)
        readers = 1
        while readers < most:
            distance = self.layout.column_groups * readers
            parts = _elements(code, total)
            others = [code.insert(gpu.ShuffleOp("xor", part, distance)) for part in parts]
            added = code.insert(arith.AddfOp(total, _joined(code, others)))
            if readers < fewest:
                total = added
            else:
                same_row = code.compare(code.index(distance), "ult", sharing)
                total = code.select(same_row, added, total)
            readers *= 2
        return total

    def _write(
        self,
        code: Code,
        total: SSAValue,
        buffers: list[SSAValue],
        inputs: _Inputs,
    ) -> None:
        """The first reader of each row applies the epilogue and stores."""
        where = inputs.where
        op = self.product.product
        zero = code.insert(arith.ConstantOp.from_int_and_width(0, 32))
        present = code.both(code.compare(where.number, "sge", zero), where.first_of_row)
        residual = None if op.residual is None else buffers[self.product.position(op.residual)]
        writer = RowWriter(
            y=buffers[-1],
            residual=residual,
            bias_table=inputs.tables.get("bias"),
            activation=op.activation,
            residual_after_activation=op.residual_after_activation,
            streaming=self.product.schedule.stores == "streaming",
            window=self.product.result_window,
        )
        first = code.add(where.tile, where.within)
        end = code.index(self.product.columns)
        result = self.product.result_window
        adjacent = self.product.columns if result is None else result.data.adjacent_columns
        whole = adjacent % self._width == 0
        if whole and self.product.columns % self._tile:
            present = code.both(present, code.compare(first, "ult", end))

        def write(inner: Code) -> None:
            row = inner.as_index(where.number)
            if whole:
                writer.write(inner, total, row, first)
                return
            for place, part in enumerate(_elements(inner, total)):
                column = inner.add(first, inner.index(place))
                inner.when(
                    inner.compare(column, "ult", end),
                    lambda last, part=part, column=column: writer.write(last, part, row, column),
                )

        code.when(present, write)


def _elements(code: Code, lane: SSAValue) -> list[SSAValue]:
    """The columns of a lane as numbers."""
    width = lane_width(lane.type)
    if width == 1:
        return [lane]
    element = lane_element(lane.type)
    return [code.insert(vector.ExtractOp(lane, [place], element)) for place in range(width)]


def _joined(code: Code, numbers: Sequence[SSAValue]) -> SSAValue:
    """Numbers as the columns of a lane."""
    if len(numbers) == 1:
        return numbers[0]
    kind = VectorType(cast(AnyFloat, numbers[0].type), [len(numbers)])
    lane = splat(code, numbers[0], kind)
    for place, number in enumerate(numbers[1:], start=1):
        lane = code.insert(vector.InsertOp(number, lane, [place]))
    return lane
