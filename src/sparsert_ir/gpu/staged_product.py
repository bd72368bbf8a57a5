"""A product that reads x from shared memory, where a block's threads bring it ahead of its use."""

from dataclasses import dataclass, replace
from typing import cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, MemRefType, i32, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint

from sparsert_ir.building import Code, Values, array_type, constant_table, workgroup_buffer
from sparsert_ir.dense import element_bytes, to_dense, to_numpy
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import (
    PanelProductOp,
    ScheduleAttr,
    lane_element,
    lane_width,
)
from sparsert_ir.epilogue import splat
from sparsert_ir.errors import IRError, ScheduleError
from sparsert_ir.gpu.shared_memory import staged_bytes
from sparsert_ir.gpu.x_intake import AsyncIntake, BulkIntake, Intake, StagedBlock
from sparsert_ir.gpu.x_stages import StagePlan, plan_stages
from sparsert_ir.gpu_facts import WORKGROUP
from sparsert_ir.kernel_function import constant_weight
from sparsert_ir.schedule import Schedule

X_STAGES = "x_stages"
STAGED_ROWS = "staged_rows"
SIGNALS = "signals"


@dataclass(frozen=True)
class StagedProduct:
    """A product whose rows of x come to workgroup memory step by step.

    tile: first column of the block. width: its columns.
    """

    product: PanelProductOp
    tile: SSAValue
    schedule: Schedule
    plan: StagePlan
    rows_per_stage: int
    width: int

    @classmethod
    def of(
        cls, kernel: gpu.FuncOp, product: PanelProductOp, shared_memory: int, user: str
    ) -> "StagedProduct":
        """Raises ScheduleError where the buffers do not fit, IRError in the name of `user`."""
        known = kernel.attributes.get("sparsert.schedule")
        if not isinstance(known, ScheduleAttr) or product.tile is None:
            raise IRError(f"{user}: expected a kernel with a schedule")
        schedule = known.data
        constant = constant_weight(product.weight, user)
        offsets, indices, _ = constant.arrays()
        depth = constant.shape[1]
        rows = min(schedule.rows_per_stage, depth)
        lane = lane_width(product.sums[0].type)
        element_type = cast(MemRefType[AnyFloat], product.x.type).element_type
        buffers = replace(schedule, rows_per_stage=rows, columns_per_thread=lane)
        _check_size(buffers, element_bytes(element_type), shared_memory)
        matrix = offsets, indices, depth
        panels = to_numpy(product.panels)
        plan = plan_stages(matrix, panels, schedule.panels_per_block, rows, schedule.stages)
        return cls(product, product.tile, schedule, plan, rows, schedule.threads * lane)

    @property
    def _x_type(self) -> MemRefType[AnyFloat]:
        return cast(MemRefType[AnyFloat], self.product.x.type)

    @property
    def _buffers_type(self) -> MemRefType[Attribute]:
        rows = self.schedule.stages * self.rows_per_stage
        return array_type([rows, self.width], self._x_type.element_type, WORKGROUP)

    @property
    def _signals_type(self) -> MemRefType[Attribute]:
        return array_type([self.schedule.stages], i64, WORKGROUP)

    @property
    def _table_type(self) -> MemRefType[Attribute]:
        return array_type(self.plan.rows.shape, i32)

    def globals(self) -> list[Operation]:
        """The buffers, and the table of the rows that blocks take."""
        tables: list[Operation] = [workgroup_buffer(X_STAGES, self._buffers_type)]
        if self.schedule.staging == "bulk":
            tables.append(workgroup_buffer(SIGNALS, self._signals_type))
        if not self.plan.takes_all:
            tables.append(constant_table(STAGED_ROWS, to_dense(self.plan.rows)))
        return tables

    def write(self) -> None:
        """Put the steps in place of the product."""
        product, schedule = self.product, self.schedule
        code = Code(InsertPoint.before(product))
        staged = code.table(X_STAGES, self._buffers_type)
        place = code.insert(arith.SubiOp(product.column, self.tile))
        intake = self._intake(code, staged)
        steps = code.index(self.plan.steps)
        intake.open(code)
        for step in range(schedule.stages - 1):
            if step < self.plan.steps:
                intake.start(code, code.index(step))
            intake.close(code)

        def one_step(inner: Code, step: SSAValue, sums: Values) -> Values:
            intake.wait(inner, step)
            # Also: nobody reads the buffer of the step before any more.
            inner.do(gpu.BarrierOp())
            ahead = inner.add(step, inner.index(schedule.stages - 1))
            inner.when(inner.compare(ahead, "ult", steps), lambda last: intake.start(last, ahead))
            intake.close(inner)
            return inner.do(self._step(staged, place, step, sums))

        lane = product.sums[0].type
        zero = splat(code, code.number(0.0, lane_element(lane)), lane)
        carried = [zero] * len(product.sums)
        sums = code.sum_loop(code.index(0), steps, code.index(1), carried, one_step)
        for old, new in zip(product.sums, sums, strict=True):
            old.replace_all_uses_with(new)
        product.detach()
        product.erase()

    def _intake(self, code: Code, staged: SSAValue) -> Intake:
        schedule = self.schedule
        dimension = "y" if schedule.block_order == "columns" else "x"
        thread = code.insert(gpu.ThreadIdOp("x"))
        if schedule.panels_per_block > 1:
            slot = code.insert(gpu.ThreadIdOp("z"))
            thread = code.add(code.multiply(slot, code.index(schedule.threads)), thread)
        table = None if self.plan.takes_all else code.table(STAGED_ROWS, self._table_type)
        block = StagedBlock(
            x=self.product.x,
            staged=staged,
            threads=schedule.block_threads,
            thread=thread,
            tile=self.tile,
            width=self.width,
            rows_per_stage=self.rows_per_stage,
            stages=schedule.stages,
            table=table,
            number=code.insert(gpu.BlockIdOp(dimension)),
        )
        if schedule.staging == "bulk":
            return BulkIntake(block, code.table(SIGNALS, self._signals_type))
        return AsyncIntake(block)

    def _step(
        self, staged: SSAValue, place: SSAValue, step: SSAValue, sums: Values
    ) -> PanelProductOp:
        product = self.product
        return PanelProductOp(
            product.weight,
            staged,
            place,
            product.panel,
            step,
            product.panels,
            to_dense(self.plan.splits),
            product.sums[0].type,
            None if product.fold is None else product.fold.value.data,
            positions=to_dense(self.plan.positions),
            initial=sums,
        )


def _check_size(schedule: Schedule, element_bytes: int, shared_memory: int) -> None:
    """Raise ScheduleError where the buffers of all stages do not fit."""
    size = staged_bytes(schedule, element_bytes)
    if size > shared_memory:
        raise ScheduleError(
            f"schedule: staged x must fit in {shared_memory} bytes of workgroup memory, got"
            f" {size} (stages * rows_per_stage * threads * columns_per_thread * element size)"
        )
