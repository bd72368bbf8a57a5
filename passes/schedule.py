"""sparsert-schedule: choose how each product runs."""

from dataclasses import dataclass, fields, replace
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Attribute
from xdsl.passes import ModulePass

from sparsert_ir.cost_model import default_cpu_schedule, default_gpu_schedule
from sparsert_ir.dialects.sparsert import ConstantOp, ScheduleAttr, SpmmOp
from sparsert_ir.errors import ScheduleError
from sparsert_ir.schedule import Schedule


@dataclass(frozen=True)
class ChooseSchedule(ModulePass):
    """Give each `spmm` without a schedule the cost model's choice for `target` ("gpu" or "cpu"),
    with the knobs that are set here in place of the model's; a schedule already there stays.

    Requires: nothing.
    Guarantees: every `spmm` has a schedule.
    """

    name = "sparsert-schedule"

    target: str = "gpu"
    lowering: str | None = None
    rows_per_panel: int | None = None
    k_groups: int | None = None
    columns_per_thread: int | None = None
    threads: int | None = None
    column_tiles: int | None = None
    panels_per_block: int | None = None
    block_order: str | None = None
    stores: str | None = None
    staging: str | None = None
    accumulation: str | None = None
    fold_length: int | None = None
    chunk: int | None = None
    stages: int | None = None
    column_groups: int | None = None
    launch: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for spmm in [inner for inner in op.walk() if isinstance(inner, SpmmOp)]:
            if spmm.schedule is None:
                spmm.properties["schedule"] = ScheduleAttr(self._choose(spmm))

    def _choose(self, spmm: SpmmOp) -> Schedule:
        knobs = {field.name: getattr(self, field.name) for field in fields(Schedule)}
        given = {name: value for name, value in knobs.items() if value is not None}
        return replace(self._default(spmm), **given)

    def _default(self, spmm: SpmmOp) -> Schedule:
        rows, depth = cast(TensorType[Attribute], spmm.weight.type).get_shape()
        x = cast(TensorType[Attribute], spmm.x.type)
        columns, dtype = x.get_shape()[1], str(x.element_type)
        if self.target == "cpu":
            return default_cpu_schedule((rows, depth), columns, dtype)
        if self.target != "gpu":
            raise ScheduleError(f"{self.name}: expected target gpu or cpu, got {self.target!r}")
        weight = spmm.weight.owner
        nonzeros = weight.values.get_shape()[0] if isinstance(weight, ConstantOp) else None
        lowering = "data" if self.lowering == "data" else "code"
        return default_gpu_schedule((rows, depth), columns, dtype, nonzeros, lowering)
