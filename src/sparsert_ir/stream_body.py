"""What the lanes of a kernel do that streams a packed matrix."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

from xdsl.dialects import arith, math, scf, vector
from xdsl.dialects.builtin import AnyFloat, MemRefType, VectorType, f32, i16, i32
from xdsl.ir import Attribute, Block, Region, SSAValue

from sparsert_ir.building import Code, Values
from sparsert_ir.dialects import gpu, nvvm
from sparsert_ir.dialects.sparsert import (
    LoadColumnsOp,
    StoreColumnsOp,
    lane_element,
    lane_width,
)
from sparsert_ir.epilogue import RowWriter, convert, splat, with_element
from sparsert_ir.gpu_facts import WARP
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.packing import StreamLayout
from sparsert_ir.schedule import Schedule
from sparsert_ir.staging import SliceCopy
from sparsert_ir.stream_choice import block_count, tile_columns
from sparsert_ir.window_staging import WindowCopy


@dataclass(frozen=True)
class _Lane:
    """What stays the same while a lane works: its reader in the warp, its columns.

    tile:   first column of the block.
    within: first column of the lane, counted from `tile`.
    """

    reader: SSAValue
    tile: SSAValue
    within: SSAValue


@dataclass(frozen=True)
class _Place:
    """A lane's place in a panel.

    number:  of its row in the matrix; -1 where the panel is not full.
    sharing: lanes that share the row.
    """

    number: SSAValue
    sharing: SSAValue
    first_of_row: SSAValue


@dataclass(frozen=True)
class _Steps:
    """Of a panel in one slice of x: the first, and the one past the last."""

    begin: SSAValue
    end: SSAValue


@dataclass(frozen=True)
class _Batch:
    """Chunks of a lane in registers: values, indices."""

    values: Values
    indices: Values

    def all(self) -> list[SSAValue]:
        return [*self.values, *self.indices]

    @classmethod
    def of(cls, carried: Values) -> "_Batch":
        """From what `all` gave."""
        half = len(carried) // 2
        return cls(carried[:half], carried[half:])


@dataclass(frozen=True)
class StreamBody:
    """Writes the code of all threads.

    buffers: x, the residual if there is one, y. tables: the packed arrays, by name.
    staged:  a slice of x in shared memory, with a row of zeros after it.
    """

    product: ProductFunction
    layout: StreamLayout
    buffers: list[SSAValue]
    tables: dict[str, SSAValue]
    staged: SSAValue
    lane: _Lane

    @classmethod
    def of(
        cls,
        product: ProductFunction,
        layout: StreamLayout,
        code: Code,
        *,
        buffers: list[SSAValue],
        tables: dict[str, SSAValue],
        staged: SSAValue,
    ) -> "StreamBody":
        """Writes to `code` where a lane is."""
        schedule = product.schedule
        thread = code.insert(gpu.ThreadIdOp("x"))
        number, groups = code.insert(arith.RemUIOp(thread, code.index(WARP))), layout.column_groups
        tile = code.multiply(code.insert(gpu.BlockIdOp("y")), code.index(tile_columns(schedule)))
        reader, group = code.divide(number, groups)
        within = code.multiply(group, code.index(schedule.columns_per_thread))
        return cls(product, layout, buffers, tables, staged, _Lane(reader, tile, within))

    @property
    def _schedule(self) -> Schedule:
        return self.product.schedule

    @property
    def _width(self) -> int:
        """Columns that a lane computes."""
        return self._schedule.columns_per_thread

    @property
    def _lane_type(self) -> Attribute:
        return f32 if self._width == 1 else VectorType(f32, [self._width])

    @property
    def _blocks(self) -> int:
        """That share the panels."""
        return block_count(self.layout, self._schedule)

    def write(self, code: Code) -> None:
        """The first chunks are on their way before the kernel before this one must have ended."""
        if self._schedule.panels_per_warp == 1:
            self._compute_panel(code)
        else:
            self._walk_over_panels(code)

    def _compute_panel(self, code: Code) -> None:
        """Slice by slice of x."""
        panel = self._first_panel(code)
        place = self._place(code, panel)
        total = self._zero(code)
        for number in range(self.layout.slices):
            steps = self._steps(code, panel, number)
            batch = self._load_batch(code, steps.begin, steps.end)
            if number > 0:
                code.do(gpu.BarrierOp())
            self._stage(code, number)
            total, _ = self._multiply_steps(code, steps, batch, total, lambda _, old: old)
        self._finish(code, place, total)

    def _walk_over_panels(self, code: Code) -> None:
        """All of x is staged once; the last chunks of a panel are multiplied while the first ones
        of the next are on their way.
        """
        first, all_panels = self._first_panel(code), code.index(sum(self.layout.panels))
        stride = code.index(self._blocks * self._schedule.threads // WARP)
        steps = self._steps(code, first, 0)
        batch = self._load_batch(code, steps.begin, steps.end)
        self._stage(code, 0)

        def one_panel(inner: Code, panel: SSAValue, carried: Values) -> Values:
            steps, batch = _Steps(*carried[:2]), _Batch.of(carried[2:])
            place = self._place(inner, panel)
            following = inner.add(panel, stride)
            more = inner.compare(following, "ult", all_panels)
            next_steps = self._steps(inner, inner.select(more, following, panel), 0)

            def load_next(last: Code, old: Values) -> Values:
                begin, end = next_steps.begin, next_steps.end
                return last.either(more, lambda c: self._load_batch(c, begin, end).all(), old)

            total, loaded = self._multiply_steps(inner, steps, batch, self._zero(inner), load_next)
            self._finish(inner, place, total)
            return [next_steps.begin, next_steps.end, *loaded]

        carried = [steps.begin, steps.end, *batch.all()]
        code.sum_loop(first, all_panels, stride, carried, one_panel)

    def _zero(self, code: Code) -> SSAValue:
        return splat(code, code.number(0.0, f32), self._lane_type)

    def _first_panel(self, code: Code) -> SSAValue:
        """Of the warp. Panels of many steps come first, so neighbours go to different blocks."""
        warp = code.insert(arith.DivUIOp(code.insert(gpu.ThreadIdOp("x")), code.index(WARP)))
        before = code.multiply(warp, code.index(self._blocks))
        return code.add(before, code.insert(gpu.BlockIdOp("x")))

    def _place(self, code: Code, panel: SSAValue) -> _Place:
        reader = self.lane.reader
        per_row = self._of_panel(code, panel, self.layout.readers_per_row)
        shift = [number.bit_length() - 1 for number in self.layout.readers_per_row]
        within = code.insert(arith.ShRUIOp(reader, self._of_panel(code, panel, shift)))
        # Loaded here rather than where it is needed, to be there by then.
        number = code.load(self.tables["rows"], code.add(self._first_slot(code, panel), within))
        in_row = code.both(reader, code.insert(arith.SubiOp(per_row, code.index(1))))
        return _Place(
            number=number,
            sharing=code.multiply(per_row, code.index(self.layout.column_groups)),
            first_of_row=code.compare(in_row, "eq", code.index(0)),
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

    def _steps(self, code: Code, panel: SSAValue, slice_number: int) -> _Steps:
        starts = self.tables["starts"]
        place = code.multiply(panel, code.index(self.layout.slices))
        place = code.add(place, code.index(slice_number))
        return _Steps(
            code.as_index(code.load(starts, place)),
            code.as_index(code.load(starts, code.add(place, code.index(1)))),
        )

    def _stage(self, code: Code, number: int) -> None:
        """Copy slice `number` of x, for this block's columns, to shared memory; a zero row last.

        Before the first one the block waits for the kernel before it.
        """
        if number == 0 and self._schedule.launch == "overlapped":
            code.do(nvvm.GridWaitOp())
            code.do(nvvm.GridLaunchDependentsOp())
        depth = self.product.constant.shape[1]
        first = number * self.layout.slice_columns
        threads, width = self._schedule.threads, tile_columns(self._schedule)
        rows = min(self.layout.slice_columns, depth - first)
        window = self.product.product.window
        copy = (
            SliceCopy(
                element_type=self.product.element_type,
                threads=threads,
                columns=self.product.columns,
                depth=depth,
                width=width,
                first=first,
                rows=rows,
                staged_rows=cast(MemRefType[Attribute], self.staged.type).get_shape()[0],
            )
            if window is None
            else WindowCopy(
                element_type=self.product.element_type,
                threads=threads,
                window=window.data,
                width=width,
                first=first,
                rows=rows,
            )
        )
        x = self.buffers[self.product.position(self.product.product.x)]
        copy.write(code, x, self.staged, self.lane.tile)

        def clear(inner: Code, column: SSAValue) -> None:
            zero = inner.number(0.0, self.product.element_type)
            row = inner.index(self.layout.slice_columns)
            inner.do(StoreColumnsOp(zero, self.staged, [row, column]))

        thread = code.insert(gpu.ThreadIdOp("x"))
        if width <= threads:
            inside = code.compare(thread, "ult", code.index(width))
            code.when(inside, lambda inner: clear(inner, thread))
        else:
            code.loop(thread, code.index(width), code.index(threads), clear)
        code.do(gpu.BarrierOp())

    def _multiply_steps(
        self,
        code: Code,
        steps: _Steps,
        batch: _Batch,
        total: SSAValue,
        load_last: Callable[[Code, Values], Values],
    ) -> tuple[SSAValue, Values]:
        """`total` plus the products of all steps, the first of which `batch` holds.

        load_last: what is loaded during the last steps, given what was loaded before them.
        Returns the sum, and what `load_last` loaded.
        """
        stages = self._schedule.stages

        def one_batch(inner: Code, step: SSAValue, carried: Values) -> Values:
            batch = _Batch.of(carried[1:])
            after = inner.add(step, inner.index(stages))
            following = self._next_batch(inner, after, steps.end, batch, load_last)
            new_total = carried[0]
            for i in range(stages):
                inside = inner.compare(inner.add(step, inner.index(i)), "ult", steps.end)
                new_total = self._add_chunk(inner, batch, i, inside, new_total)
            return [new_total, *following]

        carried = [total, *batch.all()]
        end, stride = steps.end, code.index(stages)
        sums = code.sum_loop(steps.begin, end, stride, carried, one_batch)
        return sums[0], sums[1:]

    def _load_batch(self, code: Code, begin: SSAValue, end: SSAValue) -> _Batch:
        """Chunks of the steps from `begin` on; past the end, the last one again."""
        last = code.insert(arith.SubiOp(end, code.index(1)))
        values: list[SSAValue] = []
        indices: list[SSAValue] = []
        for i in range(self._schedule.stages):
            step = code.minimum(code.add(begin, code.index(i)), last)
            place = code.multiply(step, code.index(self.layout.readers))
            place = code.add(place, self.lane.reader)
            for key, into in (("values", values), ("indices", indices)):
                table = self.tables[key]
                element = cast(MemRefType[Attribute], table.type).element_type
                kind = VectorType(element, [self.layout.chunk])
                into.append(code.insert(LoadColumnsOp(table, [place, code.index(0)], kind)))
        return _Batch(values, indices)

    def _next_batch(
        self,
        code: Code,
        begin: SSAValue,
        end: SSAValue,
        old: _Batch,
        load_last: Callable[[Code, Values], Values],
    ) -> Values:
        """The chunks from `begin` on where there are any, else what `load_last` gives."""
        more = code.compare(begin, "ult", end)
        load, last = Block(), Block()
        inner, spare = Code(load), Code(last)
        inner.end_with(self._load_batch(inner, begin, end).all())
        spare.end_with(load_last(spare, old.all()))
        kinds = [value.type for value in old.all()]
        return code.do(scf.IfOp(more, kinds, Region(load), Region(last)))

    def _add_chunk(
        self, code: Code, batch: _Batch, number: int, inside: SSAValue, total: SSAValue
    ) -> SSAValue:
        """`total` plus the products of one chunk, if its step is inside the panel."""

        def add_products(inner: Code) -> Values:
            values = convert(inner, batch.values[number], f32)
            added = total
            for place in range(self.layout.chunk):
                value = inner.insert(vector.ExtractOp(values, [place], f32))
                index = inner.insert(vector.ExtractOp(batch.indices[number], [place], i16))
                row = inner.as_index(inner.insert(arith.ExtUIOp(index, i32)))
                added = self._multiply_add(inner, row, value, added)
            return [added]

        return code.either(inside, add_products, [total])[0]

    def _multiply_add(
        self, code: Code, row: SSAValue, value: SSAValue, total: SSAValue
    ) -> SSAValue:
        lane = self._lane_type
        x_lane = with_element(lane, self.product.element_type)
        x = code.insert(LoadColumnsOp(self.staged, [row, self.lane.within], x_lane))
        fma = vector.FMAOp if self._width > 1 else math.FmaOp
        return code.insert(fma(splat(code, value, lane), convert(code, x, f32), total))

    def _finish(self, code: Code, place: _Place, total: SSAValue) -> None:
        self._write_rows(code, place, self._add_lanes(code, total, place.sharing))

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

    def _write_rows(self, code: Code, place: _Place, total: SSAValue) -> None:
        """The first reader of each row applies the epilogue and stores."""
        op = self.product.product
        zero = code.insert(arith.ConstantOp.from_int_and_width(0, 32))
        present = code.both(code.compare(place.number, "sge", zero), place.first_of_row)
        residual = None if op.residual is None else self.buffers[self.product.position(op.residual)]
        writer = RowWriter(
            y=self.buffers[-1],
            residual=residual,
            bias_table=self.tables.get("bias"),
            activation=op.activation,
            residual_after_activation=op.residual_after_activation,
            streaming=self._schedule.stores == "streaming",
            window=self.product.result_window,
        )
        first = code.add(self.lane.tile, self.lane.within)
        end = code.index(self.product.columns)
        result = self.product.result_window
        adjacent = self.product.columns if result is None else result.data.adjacent_columns
        whole = adjacent % self._width == 0
        if whole and self.product.columns % tile_columns(self._schedule):
            present = code.both(present, code.compare(first, "ult", end))

        def write(inner: Code) -> None:
            row = inner.as_index(place.number)
            if whole:
                writer.write(inner, total, row, first)
                return
            for number, part in enumerate(_elements(inner, total)):
                column = inner.add(first, inner.index(number))
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
