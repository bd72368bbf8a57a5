"""sparsert-schedule: choose how each product runs."""

from dataclasses import dataclass, fields, replace
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.passes import ModulePass

from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts, FilterFacts
from sparsert_ir.dialects.sparsert import (
    ConstantOp,
    Conv2dOp,
    ScheduleAttr,
    SeparableConv2dOp,
    SpmmOp,
    Untiled,
)
from sparsert_ir.element_types import DTYPES
from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu_facts import STATIC_SHARED_MEMORY
from sparsert_ir.schedule import Lowering, Schedule
from sparsert_ir.schedules.convolution import default_convolution
from sparsert_ir.schedules.cpu import with_lowering
from sparsert_ir.schedules.default import default_cpu_schedule, default_gpu_schedule
from sparsert_ir.schedules.separable import default_separable

_PRODUCTS = (SpmmOp, Conv2dOp, SeparableConv2dOp)


def _target(place: str) -> str:
    return "sm_80" if place == "gpu" else "cpu"


def _nonzeros(weight: SSAValue) -> int | None:
    """None where the weight is not a constant."""
    owner = weight.owner
    return owner.values.get_shape()[0] if isinstance(owner, ConstantOp) else None


def _facts(op: SeparableConv2dOp, rows: int, dtype: str) -> ConvolutionFacts:
    channels, taps = cast(TensorType[Attribute], op.depthwise.type).get_shape()
    own_taps = taps // op.window.data.channels
    depthwise = FilterFacts(channels, _nonzeros(op.depthwise) or channels * own_taps)
    nonzeros = _nonzeros(op.weight) or rows * channels // 10
    return ConvolutionFacts(op.window.data, rows, nonzeros, dtype, depthwise)


@dataclass(frozen=True)
class ChooseSchedule(ModulePass):
    """Give each product without a schedule the cost model's choice for `target` ("gpu" or "cpu"),
    with the knobs that are set here in place of the model's; a schedule already there stays.

    Requires: nothing.
    Guarantees: every `spmm`, `conv2d` and `separable_conv2d` has a schedule.
    """

    name = "sparsert-schedule"

    target: str = "gpu"
    lowering: str | None = None
    rows_per_panel: int | None = None
    permutation: str | None = None
    k_groups: int | None = None
    cluster: int | None = None
    columns_per_thread: int | None = None
    threads: int | None = None
    column_tiles: int | None = None
    panels_per_block: int | None = None
    block_order: str | None = None
    stores: str | None = None
    staging: str | None = None
    accumulation: str | None = None
    fold_length: int | None = None
    chains: int | None = None
    chunk: int | None = None
    stages: int | None = None
    rows_per_stage: int | None = None
    column_groups: int | None = None
    panels_per_warp: int | None = None
    instruction: str | None = None
    launch: str | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for product in [inner for inner in op.walk() if isinstance(inner, _PRODUCTS)]:
            if product.schedule is None:
                product.properties["schedule"] = ScheduleAttr(self._choose(product))

    def _choose(self, product: Untiled) -> Schedule:
        knobs = {field.name: getattr(self, field.name) for field in fields(Schedule)}
        given = {name: value for name, value in knobs.items() if value is not None}
        return replace(self._default(product), **given)

    def _lowering(self) -> Lowering:
        """The one that is asked for, else data on a CPU and code on a GPU."""
        on_cpu = self.target == "cpu"
        return "data" if self.lowering == "data" or (on_cpu and self.lowering is None) else "code"

    def _default(self, product: Untiled) -> Schedule:
        if self.target not in ("gpu", "cpu"):
            raise ScheduleError(f"{self.name}: expected target gpu or cpu, got {self.target!r}")
        rows, depth = cast(TensorType[Attribute], product.weight.type).get_shape()
        x = cast(TensorType[Attribute], product.x.type)
        # f64 is no kernel's type of the API, and no model's: its schedule is that of f32.
        dtype = str(x.element_type) if str(x.element_type) in DTYPES else "f32"
        nonzeros = _nonzeros(product.weight)
        if isinstance(product, SeparableConv2dOp):
            facts = _facts(product, rows, dtype)
            chosen = default_separable(facts, _target(self.target), STATIC_SHARED_MEMORY)
            return with_lowering(chosen, self._lowering())
        lowering = self._lowering()
        if isinstance(product, Conv2dOp):
            target = _target(self.target)
            return default_convolution(
                (rows, depth),
                product.window.data,
                dtype,
                target,
                lowering,
                nonzeros,
                STATIC_SHARED_MEMORY,
            )
        columns = x.get_shape()[1]
        if self.target == "cpu":
            return default_cpu_schedule((rows, depth), columns, dtype, nonzeros, lowering)
        return default_gpu_schedule(
            (rows, depth),
            columns,
            dtype,
            nonzeros,
            lowering,
            shared_memory=STATIC_SHARED_MEMORY,  # what the mapping passes use unless told otherwise
        )
