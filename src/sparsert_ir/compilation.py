"""One compilation: a layer, a target, and the passes between them."""

from dataclasses import dataclass, replace

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from sparsert_ir.context import make_context
from sparsert_ir.errors import ArgumentError
from sparsert_ir.frontend import Layer, build_module
from sparsert_ir.gpu_facts import shared_memory_of
from sparsert_ir.passes.map_data_to_gpu import MapDataToGpu
from sparsert_ir.passes.map_to_gpu import MapToGpu
from sparsert_ir.passes.stage_x import StageX
from sparsert_ir.passes.unroll_pattern import UnrollPattern
from sparsert_ir.pipeline import StageRecord, pipeline_passes, run_passes

PIPELINE_OF = {
    ("gpu", "code"): "sparsert-gpu-pipeline",
    ("gpu", "data"): "sparsert-gpu-data-pipeline",
    ("cpu", "code"): "sparsert-cpu-code-pipeline",
    ("cpu", "data"): "sparsert-cpu-pipeline",
}
"""(Kind of target, lowering) -> named pipeline."""


@dataclass(frozen=True, eq=False)
class Compilation:
    """What one compilation does: `layer` (with its schedule) for `target`.

    lowering_reason: why the schedule has the lowering that it has.
    threads:         of a call on a CPU.
    """

    layer: Layer
    target: str
    code_budget: int
    lowering_reason: str
    threads: int = 1

    @property
    def is_gpu(self) -> bool:
        return self.target != "cpu"

    @property
    def pipeline(self) -> str:
        """Name of the pipeline that fits target and schedule."""
        assert self.layer.schedule is not None
        kind = "gpu" if self.is_gpu else "cpu"
        key = (kind, self.layer.schedule.lowering)
        if key not in PIPELINE_OF:
            raise ArgumentError(f"schedule: no lowering = {key[1]} for target {self.target}")
        return PIPELINE_OF[key]

    def passes(self) -> list[ModulePass]:
        """The pipeline's passes, with this compilation's options."""
        return [self._with_options(one) for one in pipeline_passes(self.pipeline)]

    def _with_options(self, one: ModulePass) -> ModulePass:
        match one:
            case UnrollPattern():
                return replace(one, code_budget=self.code_budget)
            case MapDataToGpu() | MapToGpu() | StageX():
                return replace(one, shared_memory=shared_memory_of(self.target))
            case _:
                return one

    def build(self) -> ModuleOp:
        """The tensor-level module, before any pass."""
        return build_module(self.layer)

    def run(self) -> tuple[ModuleOp, list[StageRecord]]:
        """The module after all passes, and what each pass did."""
        module = self.build()
        return module, list(run_passes(module, self.passes(), make_context()))

    def run_until(self, stage: str) -> ModuleOp:
        """The module after the pass named `stage`."""
        module = self.build()
        for record in run_passes(module, self.passes(), make_context()):
            if record.name == stage:
                break
        return module
