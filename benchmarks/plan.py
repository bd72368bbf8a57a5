"""What has to be built before a case can be measured."""

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from cases import Case
from gimmik_peer import VARIANTS, GimmikJob, build_gimmik, why_not
from schedules import ScheduleSource
from sparsert_ir import SparseMatrix
from sparsert_ir.frontend import Layer
from sparsert_ir.targets import nearest_architecture
from sparsert_ir.tuner.build_job import Build, BuildJob, build


@dataclass(frozen=True)
class Ending:
    """epilogue: bias and ReLU; gimmik_nonzeros: the largest matrix that GiMMiK gets;
    assemble: whether the processes that build turn PTX into machine code, too."""

    epilogue: bool = False
    gimmik_nonzeros: int = 0
    code_budget: int = 4 * 2**20
    assemble: bool = True


@dataclass(frozen=True, eq=False)
class Plan:
    """jobs: ours first, the compiler's own choice of schedule as the first of them."""

    case: Case
    dtype: str
    matrix: SparseMatrix
    bias: "np.ndarray[tuple[int], np.dtype[np.float32]] | None"
    jobs: "tuple[PlannedJob, ...]"
    gimmik_reason: str


@dataclass(frozen=True, eq=False)
class PlannedJob:
    """A job and the number of its plan's schedule or kernel."""

    key: tuple[str, str]
    number: int
    job: BuildJob | GimmikJob


def build_any(planned: PlannedJob) -> Build:
    job = planned.job
    return build(job) if isinstance(job, BuildJob) else build_gimmik(job)


def plan_of(case: Case, dtype: str, arch: str, source: ScheduleSource, ending: Ending) -> Plan:
    """Reads the case's weight; raises what that raises."""
    matrix = case.matrix(dtype)
    target = nearest_architecture(arch)
    bias = None
    if ending.epilogue:
        bias = np.random.default_rng(1).standard_normal(matrix.shape[0]).astype(np.float32)
    jobs: list[BuildJob | GimmikJob] = []
    for schedule in source.schedules(case, matrix, dtype, target):
        layer = Layer(
            matrix=matrix,
            columns=case.n,
            bias=bias,
            activation="relu" if ending.epilogue else None,
            dtype=cast(Literal["f32", "f16"], dtype),
            schedule=schedule,
        )
        ordinal = 0 if ending.assemble else None
        jobs.append(
            BuildJob(layer=layer, target=target, ordinal=ordinal, code_budget=ending.code_budget)
        )
    reason = why_not(matrix, dtype, ending.gimmik_nonzeros)
    if not reason:
        jobs += [GimmikJob(matrix, case.n, variant) for variant in range(VARIANTS)]
    key = (case.label, dtype)
    planned = tuple(PlannedJob(key, number, job) for number, job in enumerate(jobs))
    return Plan(case, dtype, matrix, bias, planned, reason)
