"""What the warps of a kernel do that streams a packed matrix: which panels, what is loaded when."""

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.dialects import arith, scf
from xdsl.ir import Block, Region, SSAValue

from sparsert_ir.building import Code, Values
from sparsert_ir.dialects import gpu
from sparsert_ir.gpu.overlap import await_kernel_before, launch_dependents
from sparsert_ir.gpu.staging import SliceCopy
from sparsert_ir.gpu.stream_arrays import Steps, StreamArrays
from sparsert_ir.gpu.stream_choice import blocks_per_tile, tile_columns, tile_dimension
from sparsert_ir.gpu.stream_lanes import FmaLanes, StreamLanes
from sparsert_ir.gpu.stream_tensor_cores import MmaLanes
from sparsert_ir.gpu.window_staging import WindowCopy
from sparsert_ir.gpu_facts import WARP
from sparsert_ir.schedule import Schedule

_SLICES_IN_A_LOOP = 8
"""After the first one, from which on their code is written only once."""


@dataclass(frozen=True)
class _Batch:
    """Chunks of a lane in registers, as `StreamLanes.load_chunk` gives them."""

    chunks: list[Values]

    def all(self) -> list[SSAValue]:
        return [value for chunk in self.chunks for value in chunk]

    @classmethod
    def of(cls, carried: Values, stages: int) -> "_Batch":
        """From what `all` gave."""
        each = len(carried) // stages
        return cls([carried[i * each : (i + 1) * each] for i in range(stages)])


@dataclass(frozen=True)
class StreamBody:
    """Writes the code of all threads. tile: first column of the block."""

    arrays: StreamArrays
    tile: SSAValue
    lanes: StreamLanes

    @classmethod
    def of(cls, arrays: StreamArrays, code: Code) -> "StreamBody":
        """Writes to `code` where a lane is."""
        tile = arrays.first_column(code)
        kind = MmaLanes if arrays.product.schedule.instruction == "mma" else FmaLanes
        return cls(arrays, tile, kind.of(arrays, code))

    @property
    def _schedule(self) -> Schedule:
        return self.arrays.product.schedule

    @property
    def _blocks(self) -> int:
        """That share the panels."""
        return blocks_per_tile(self.arrays.layout, self._schedule)

    def write(self, code: Code) -> None:
        """The first chunks are on their way before the kernel before this one must have ended."""
        if self._schedule.panels_per_warp == 1:
            self._compute_panel(code)
        else:
            self._walk_over_panels(code)

    def _compute_panel(self, code: Code) -> None:
        """Slice by slice of x; where there are many, all but the first and the last in a loop."""
        panel = self._first_panel(code)
        finish = self.lanes.begin_panel(code, panel)

        def one_slice(inner: Code, number: int | SSAValue, sums: Values) -> Values:
            steps = self.arrays.steps(inner, panel, number)
            batch = self._load_batch(inner, steps.begin, steps.end)
            if number != 0:
                inner.do(gpu.BarrierOp())
            self._stage(inner, number)
            return self._multiply_steps(inner, steps, batch, sums, lambda _, old: old)[0]

        sums = one_slice(code, 0, self.lanes.zero(code))
        following = range(1, self.arrays.layout.slices)
        if len(following) >= _SLICES_IN_A_LOOP and self.arrays.product.product.window is None:
            last, one = code.index(following[-1]), code.index(1)
            sums = code.sum_loop(one, last, one, sums, one_slice)
            following = following[-1:]
        for number in following:
            sums = one_slice(code, number, sums)
        finish(code, sums)

    def _walk_over_panels(self, code: Code) -> None:
        """All of x is staged once; the last chunks of a panel are multiplied while the first ones
        of the next are on their way.
        """
        first, all_panels = self._first_panel(code), code.index(sum(self.arrays.layout.panels))
        stride = code.index(self._blocks * self._schedule.threads // WARP)
        steps = self.arrays.steps(code, first, 0)
        batch = self._load_batch(code, steps.begin, steps.end)
        self._stage(code, 0)

        def one_panel(inner: Code, panel: SSAValue, carried: Values) -> Values:
            steps = Steps(*carried[:2])
            batch = _Batch.of(carried[2:], self._schedule.stages)
            finish = self.lanes.begin_panel(inner, panel)
            following = inner.add(panel, stride)
            more = inner.compare(following, "ult", all_panels)
            next_steps = self.arrays.steps(inner, inner.select(more, following, panel), 0)

            def load_next(last: Code, old: Values) -> Values:
                begin, end = next_steps.begin, next_steps.end
                return last.either(more, lambda c: self._load_batch(c, begin, end).all(), old)

            zero = self.lanes.zero(inner)
            sums, loaded = self._multiply_steps(inner, steps, batch, zero, load_next)
            finish(inner, sums)
            return [next_steps.begin, next_steps.end, *loaded]

        carried = [steps.begin, steps.end, *batch.all()]
        code.sum_loop(first, all_panels, stride, carried, one_panel)

    def _first_panel(self, code: Code) -> SSAValue:
        """Of the warp. Panels of many steps come first, so neighbours go to different blocks."""
        warp = code.insert(arith.DivUIOp(code.insert(gpu.ThreadIdOp("x")), code.index(WARP)))
        before = code.multiply(warp, code.index(self._blocks))
        dimension = "x" if tile_dimension(self.arrays.product) == "y" else "y"
        return code.add(before, code.insert(gpu.BlockIdOp(dimension)))

    def _stage(self, code: Code, number: int | SSAValue) -> None:
        """Copy slice `number` of x, for this block's columns, to shared memory; a zero row last.

        Before the first one the block waits for the kernel before it.
        """
        if number == 0:
            await_kernel_before(code, self._schedule)
            launch_dependents(code, self._schedule)
        layout, staged = self.arrays.layout, self.arrays.staged
        threads, width = self._schedule.threads, tile_columns(self._schedule)
        self._copy(code, number).write(code, self.arrays.x, staged, self.tile)

        def clear(inner: Code, column: SSAValue) -> None:
            zero = inner.number(0.0, self.arrays.product.element_type)
            staged.store(inner, zero, inner.index(layout.slice_columns), column)

        thread = code.insert(gpu.ThreadIdOp("x"))
        if width <= threads:
            inside = code.compare(thread, "ult", code.index(width))
            code.when(inside, lambda inner: clear(inner, thread))
        else:
            code.loop(thread, code.index(width), code.index(threads), clear)
        code.do(gpu.BarrierOp())

    def _copy(self, code: Code, number: int | SSAValue) -> SliceCopy | WindowCopy:
        """Of slice `number` of x, or of its window."""
        product, rows = self.arrays.product, self.arrays.layout.slice_columns
        depth, window = product.constant.shape[1], product.product.window
        if isinstance(number, int):
            first: int | SSAValue = number * rows
            rows = min(rows, depth - first)
        else:
            first = code.multiply(number, code.index(rows))
        if window is None:
            return SliceCopy(
                element_type=product.element_type,
                threads=self._schedule.threads,
                columns=product.columns,
                depth=depth,
                width=tile_columns(self._schedule),
                first=first,
                rows=rows,
            )
        assert isinstance(first, int)
        return WindowCopy(
            element_type=product.element_type,
            threads=self._schedule.threads,
            window=window.data,
            width=tile_columns(self._schedule),
            first=first,
            rows=rows,
        )

    def _multiply_steps(
        self,
        code: Code,
        steps: Steps,
        batch: _Batch,
        sums: Values,
        load_last: Callable[[Code, Values], Values],
    ) -> tuple[Values, Values]:
        """`sums` plus the products of all steps, the first of which `batch` holds.

        load_last: what is loaded during the last steps, given what was loaded before them.
        Returns the sums, and what `load_last` loaded.
        """
        stages, count = self._schedule.stages, len(sums)

        def one_batch(inner: Code, step: SSAValue, carried: Values) -> Values:
            new_sums, batch = carried[:count], _Batch.of(carried[count:], stages)
            after = inner.add(step, inner.index(stages))
            following = self._next_batch(inner, after, steps.end, batch, load_last)
            for i in range(stages):
                inside = inner.compare(inner.add(step, inner.index(i)), "ult", steps.end)
                new_sums = self._add_chunk(inner, batch.chunks[i], inside, new_sums)
            return [*new_sums, *following]

        carried = [*sums, *batch.all()]
        end, stride = steps.end, code.index(stages)
        last = code.sum_loop(steps.begin, end, stride, carried, one_batch)
        return last[:count], last[count:]

    def _load_batch(self, code: Code, begin: SSAValue, end: SSAValue) -> _Batch:
        """Chunks of the steps from `begin` on; past the end, the last one again."""
        last = code.insert(arith.SubiOp(end, code.index(1)))
        chunks: list[Values] = []
        for i in range(self._schedule.stages):
            step = code.minimum(code.add(begin, code.index(i)), last)
            chunks.append(self.lanes.load_chunk(code, step))
        return _Batch(chunks)

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

    def _add_chunk(self, code: Code, chunk: Values, inside: SSAValue, sums: Values) -> Values:
        """`sums` plus the products of one chunk, if its step is inside the panel."""
        return code.either(inside, lambda inner: self.lanes.add_chunk(inner, chunk, sums), sums)
