"""sparsert-schedule: choose how each product runs."""

from dataclasses import dataclass, fields, replace
from functools import partial
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
    accumulation: str | None = None
    fold_length: int | None = None
    chunk: int | None = None
    stages: int | None = None
    launch: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for spmm in [inner for inner in op.walk() if isinstance(inner, SpmmOp)]:
            if spmm.schedule is None:
                spmm.properties["schedule"] = ScheduleAttr(self._choose(spmm))

    def _choose(self, spmm: SpmmOp) -> Schedule:
        choices = {"gpu": default_gpu_schedule, "cpu": default_cpu_schedule}
        if self.target not in choices:
            raise ScheduleError(f"{self.name}: expected target gpu or cpu, got {self.target!r}")
        rows, depth = cast(TensorType[Attribute], spmm.weight.type).get_shape()
        x = cast(TensorType[Attribute], spmm.x.type)
        choose = choices[self.target]
        if self.lowering == "data" and self.target == "gpu":
            choose = partial(default_gpu_schedule, lowering="data", nonzeros=_nonzeros(spmm))
        chosen = choose((rows, depth), x.get_shape()[1], str(x.element_type))
        knobs = {field.name: getattr(self, field.name) for field in fields(Schedule)}
        given = {name: value for name, value in knobs.items() if value is not None}
        return replace(chosen, **given)


def _nonzeros(spmm: SpmmOp) -> int | None:
    """Of a constant weight; None for another."""
    constant = spmm.weight.owner
    return constant.values.get_shape()[0] if isinstance(constant, ConstantOp) else None
