"""Measuring the cases of a benchmark as their kernels get ready."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from gimmik_peer import GimmikJob
from measure_job import MeasureJob, Measurement
from peers import DENSE_PEERS, SPARSE_PEERS, PeerJob, PeerTime
from plan import Plan, PlannedJob
from results import CaseResult, PeerResult
from sparsert_ir import Schedule
from sparsert_ir.cost_model.limits import GpuLimits, floor_us
from sparsert_ir.tuner.build_job import Build, BuildJob
from sparsert_ir.workers.pool import Finished, WorkerPool
from work import Job, Measurer

GIMMIK = "gimmik"


@dataclass(eq=False)
class _UnderWay:
    """A plan with what is built of it."""

    plan: Plan
    built: list[tuple[PlannedJob, Build]] = field(default_factory=list[tuple[PlannedJob, Build]])
    failures: list[str] = field(default_factory=list[str])
    ended: int = 0

    def add(self, finished: Finished[PlannedJob, Build]) -> None:
        self.ended += 1
        job = finished.task
        if finished.value is not None:
            self.built.append((job, finished.value))
        elif isinstance(job.job, BuildJob):
            self.failures.append(f"{finished.kind}: {finished.failure}"[:300])

    @property
    def is_complete(self) -> bool:
        return self.ended == len(self.plan.jobs)

    def ours(self) -> list[tuple[PlannedJob, Build]]:
        return [pair for pair in self.built if isinstance(pair[0].job, BuildJob)]

    def gimmik(self) -> list[tuple[PlannedJob, Build]]:
        return [pair for pair in self.built if isinstance(pair[0].job, GimmikJob)]


@dataclass(frozen=True, eq=False)
class Comparison:
    """deadline: of `time.monotonic`; what is built by then is still measured."""

    measurer: Measurer
    limits: GpuLimits
    replays: int
    deadline: float

    def run(
        self, plans: Iterator[Plan], builders: WorkerPool[PlannedJob, Build]
    ) -> Iterator[CaseResult]:
        under_way: dict[tuple[str, str], _UnderWay] = {}

        def jobs() -> Iterator[PlannedJob]:
            for plan in itertools.takewhile(lambda _: time.monotonic() < self.deadline, plans):
                under_way[plan.jobs[0].key] = _UnderWay(plan)
                yield from plan.jobs

        for finished in builders.run(jobs(), self.deadline):
            state = under_way[finished.task.key]
            state.add(finished)
            if state.is_complete:
                yield self._measure(under_way.pop(finished.task.key))
        for state in under_way.values():
            if state.ours():
                yield self._measure(state)

    def _measure(self, state: _UnderWay) -> CaseResult:
        plan, case = state.plan, state.plan.case
        best: tuple[Measurement, Build] | None = None
        model_us: float | None = None
        for planned, built in state.ours():
            measured = self._kernel(plan, built, ours=True)
            if isinstance(measured, str):
                state.failures.append(measured)
                continue
            if planned.number == 0:
                model_us = measured.median_us
            if best is None or measured.median_us < best[0].median_us:
                best = (measured, built)
        # Peers come after ours: they find the GPU as warm.
        peers = self._peers(plan) | {GIMMIK: self._gimmik(state)}
        shape = plan.matrix.shape
        result = CaseResult(
            label=case.label,
            suite=case.suite,
            sparsity=case.sparsity,
            shape=shape,
            n=case.n,
            nonzeros=plan.matrix.nonzeros,
            dtype=plan.dtype,
            floor_us=floor_us(self.limits, shape, plan.matrix.nonzeros, case.n, plan.dtype),
            candidates=sum(isinstance(one.job, BuildJob) for one in plan.jobs),
            failures=tuple(state.failures),
            model_us=model_us,
            peers=peers,
        )
        return result if best is None else _with_ours(result, *best)

    def _kernel(self, plan: Plan, built: Build, *, ours: bool) -> Measurement | str:
        """What measuring it gave, or why it does not count."""
        job = MeasureJob(
            plan.case.label,
            plan.matrix,
            plan.case.n,
            plan.dtype,
            arithmetic_of(plan.dtype, built.schedule) if ours else "f32",
            built.binary,
            self.replays,
            plan.bias if ours else None,
        )
        answer = self._ask(job)
        if isinstance(answer, Measurement):
            return answer if answer.ok else answer.reason
        return str(answer)

    def _ask(self, job: Job) -> Measurement | PeerTime | float | str:
        (end,) = self.measurer.run([job])
        return f"{end.kind}: {end.failure}"[:300] if end.value is None else end.value

    def _peers(self, plan: Plan) -> dict[str, PeerResult]:
        found: dict[str, PeerResult] = {}
        for peer in (*DENSE_PEERS[plan.dtype], *SPARSE_PEERS[plan.dtype]):
            job = PeerJob(plan.case.label, plan.matrix, plan.case.n, plan.dtype, peer, self.replays)
            answer = self._ask(job)
            if isinstance(answer, PeerTime):
                found[peer] = PeerResult(
                    answer.median_us, "", answer.error, answer.ok, answer.timing
                )
            else:
                found[peer] = PeerResult(None, str(answer))
        return found

    def _gimmik(self, state: _UnderWay) -> PeerResult:
        """The fastest of GiMMiK's kernels."""
        if state.plan.gimmik_reason:
            return PeerResult(None, state.plan.gimmik_reason)
        best: PeerResult | None = None
        for _, built in state.gimmik():
            measured = self._kernel(state.plan, built, ours=False)
            if isinstance(measured, str):
                continue
            if best is None or best.us is None or measured.median_us < best.us:
                best = PeerResult(measured.median_us, "", measured.error, True, "graph")
        return best or PeerResult(None, "no kernel could be built in time")


def arithmetic_of(dtype: str, schedule: Schedule | None) -> str:
    """What a kernel's sums are rounded to, for `verify.Problem.check`."""
    narrow = dtype == "f16" and (schedule is None or schedule.accumulation != "f32")
    return "f16" if narrow else "f32"


def _with_ours(result: CaseResult, measured: Measurement, built: Build) -> CaseResult:
    return replace(
        result,
        us=measured.median_us,
        schedule=built.schedule,
        error=measured.error,
        registers=measured.registers,
        spilled_bytes=measured.spilled_bytes,
        code_bytes=measured.code_bytes,
        build_seconds=round(built.compile_seconds + built.assemble_seconds, 2),
    )
