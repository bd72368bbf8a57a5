"""The tuner: builds candidates in parallel processes, measures them one by one, keeps the best."""

import os
import platform
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from sparsert_ir.compiler import default_schedule
from sparsert_ir.cost_model.budget import CODE_BUDGET
from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.cost_model.cpu import CpuFacts, predict_cpu
from sparsert_ir.cost_model.cpu_convolution import predict_cpu_convolution
from sparsert_ir.cost_model.gpu import Product, predict_us
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.emit.host import host_description
from sparsert_ir.errors import ArgumentError, TuningError
from sparsert_ir.progress import Report, progress_bar
from sparsert_ir.runtime.device import find_gpu, require_gpu
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.candidates import best_candidates
from sparsert_ir.schedules.convolution_candidates import best_convolutions
from sparsert_ir.schedules.separable import best_separable, predict_separable_us
from sparsert_ir.tuner.build_job import Build, BuildJob, build
from sparsert_ir.tuner.measuring import Measure, gpu_measure, host_measure
from sparsert_ir.tuner.record import CandidateReport, LayerKey, TuningRecord
from sparsert_ir.versions import versions
from sparsert_ir.workers.pool import Finished, WorkerPool

if TYPE_CHECKING:
    from sparsert_ir.frontend import Layer

_MOST_WORKERS = 8
_LONGEST_FAILURE = 300


class TuningWarning(UserWarning):
    """A tuning run ended early, or its record could not be stored."""


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """How much a tuning run may try and take.

    count:         candidates of the model besides the compiler's own choice.
    candidates:    these instead of the model's.
    workers:       processes that build; None: one per processor, 8 at most.
    seconds:       for the whole run; None: until all candidates are tried.
    build_seconds: for one candidate; it then counts as failed.
    measure:       checks and times kernels; None: on the first GPU, or this CPU.
    store:         file for the record.
    progress:      whether a bar is shown; None: where standard error is a terminal.
    """

    count: int = 24
    candidates: Sequence[Schedule] | None = None
    workers: int | None = None
    seconds: float | None = None
    build_seconds: float = 60.0
    code_budget: int = CODE_BUDGET
    measure: Measure | None = None
    store: str | os.PathLike[str] | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.candidates is not None and not self.candidates:
            raise ArgumentError("tuning: expected one candidate or more, got none")
        if self.count < 0 or (self.workers is not None and self.workers < 1):
            raise ArgumentError(
                "tuning: expected a count of 0 or more and 1 worker or more, got"
                f" {self.count} and {self.workers}"
            )


def tune(layer: "Layer", target: str, options: TuneOptions | None = None) -> TuningRecord:
    """Measure schedules for `layer` on `target` ("cpu" or this GPU's architecture).

    Candidates that fail, hang or kill their process are reported and do not win. Ctrl-C ends the
    run with what was found until then; it is raised only if nothing was. At the end, however it is
    reached, no process is left behind. The record is stored if `options.store` says so; where that
    fails, a TuningWarning says why and the record is still returned.

    Raises TuningError if no candidate works, NoDeviceError where the GPU is missing.
    """
    chosen = options or TuneOptions()
    run = _Run(layer, target, chosen)
    interrupted: KeyboardInterrupt | None = None
    try:
        run.try_all()
    except KeyboardInterrupt as error:
        interrupted = error
    if interrupted is not None and run.best is None:
        raise interrupted
    record = run.record()
    if not record.complete:
        warnings.warn(
            f"tuning ended early: {len(record.candidates)} of {len(run.jobs)} candidates tried",
            TuningWarning,
            stacklevel=2,
        )
    if chosen.store is not None:
        _store(record, chosen.store)
    return record


@dataclass(eq=False)
class _Run:
    """One tuning run under way."""

    layer: "Layer"
    target: str
    options: TuneOptions
    reports: list[CandidateReport] = field(default_factory=list[CandidateReport])
    best: CandidateReport | None = None

    def __post_init__(self) -> None:
        self.jobs = [
            BuildJob(
                layer=replace(self.layer, schedule=schedule),
                target=self.target,
                ordinal=self._ordinal(),
                code_budget=self.options.code_budget,
            )
            for schedule in self._schedules()
        ]

    def try_all(self) -> None:
        options = self.options
        deadline = None if options.seconds is None else time.monotonic() + options.seconds
        workers = min(options.workers or min(os.cpu_count() or 1, _MOST_WORKERS), len(self.jobs))
        with progress_bar("tuning", len(self.jobs), shown=options.progress) as step:
            with WorkerPool(build, workers, options.build_seconds) as pool:
                measure = options.measure or self._measure()
                ends = pool.run(self.jobs, deadline)
                if self.target != "cpu":
                    self._take(ends, measure, step)
                    return
                built = list(ends)
            # Processes that build would disturb what is measured on the same processor.
            self._take(built, measure, step)

    def _take(
        self, ends: Iterable[Finished[BuildJob, Build]], measure: Measure, step: Report
    ) -> None:
        for finished in ends:
            self._add(self._report(finished, measure))
            step("" if self.best is None else f"best {self.best.measured_us:.2f} us")

    def record(self) -> TuningRecord:
        """Raises TuningError if no candidate works."""
        best = self.best
        if best is None or best.schedule is None or best.measured_us is None:
            failures = [one.failure for one in self.reports]
            raise TuningError(
                f"tuning: expected one of {len(self.jobs)} candidates to work, got none"
                f" ({len(failures)} tried; the first: {failures[0] if failures else 'out of time'})"
            )
        return TuningRecord(
            layer=LayerKey.of(self.layer, self.target),
            device=device_name(self.target),
            versions=versions(driver=self.target != "cpu"),
            schedule=best.schedule,
            us=best.measured_us,
            complete=len(self.reports) == len(self.jobs),
            candidates=tuple(self.reports),
        )

    def _schedules(self) -> list[Schedule]:
        """Each once; the compiler's own choice is the first of the model's."""
        given, layer, count = self.options.candidates, self.layer, self.options.count
        if given is not None:
            return list(dict.fromkeys(given))
        own = default_schedule(layer, self.target, None, self.options.code_budget)
        found = _candidates(layer, self.target, count + 1)
        others = [schedule for schedule in dict.fromkeys(found) if schedule != own]
        return [own, *others[:count]]

    def _ordinal(self) -> int | None:
        """The GPU that workers assemble for; none where a test measures in its own way."""
        return 0 if self.target != "cpu" and find_gpu() is not None else None

    def _measure(self) -> Measure:
        if self.target == "cpu":
            return host_measure(self.layer)
        return gpu_measure(self.layer, require_gpu().ordinal)

    def _add(self, report: CandidateReport) -> None:
        self.reports.append(report)
        if report.measured_us is None:
            return
        if self.best is None or report.measured_us < (self.best.measured_us or 0.0):
            self.best = report

    def _report(self, finished: Finished[BuildJob, Build], measure: Measure) -> CandidateReport:
        built = finished.value
        if built is None:
            schedule = finished.task.layer.schedule
            return self._failed(schedule, f"{finished.kind}: {finished.failure}", 0.0)
        seconds = round(built.compile_seconds + built.assemble_seconds, 3)
        try:
            measured = measure(built.binary)
        except Exception as error:
            # Whatever is wrong with one candidate must not end the search for others.
            return self._failed(built.schedule, f"{type(error).__name__}: {error}", seconds)
        return CandidateReport(
            schedule=built.schedule,
            predicted_us=self._predicted(built.schedule),
            measured_us=measured.us,
            registers=measured.registers,
            spilled_bytes=measured.spilled_bytes,
            code_bytes=measured.code_bytes,
            build_seconds=seconds,
        )

    def _failed(self, schedule: Schedule | None, failure: str, seconds: float) -> CandidateReport:
        return CandidateReport(
            schedule=schedule,
            predicted_us=self._predicted(schedule),
            build_seconds=seconds,
            failure=failure[:_LONGEST_FAILURE],
        )

    def _predicted(self, schedule: Schedule | None) -> float | None:
        if schedule is None:
            return None
        if self.target == "cpu":
            return _predicted_on_cpu(self.layer, schedule)
        limits = limits_of(self.target)
        if self.layer.depthwise is not None:
            return predict_separable_us(schedule, ConvolutionFacts.of(self.layer), limits)
        return predict_us(schedule, self._product, limits)

    @cached_property
    def _product(self) -> Product:
        return Product.of(self.layer.matrix, self.layer.columns, self.layer.dtype)


def _candidates(layer: "Layer", target: str, count: int) -> list[Schedule]:
    if layer.depthwise is not None:
        return best_separable(ConvolutionFacts.of(layer), target, count)
    if layer.window is not None:
        return best_convolutions(layer.matrix, layer.window, layer.dtype, target, count)
    return best_candidates(layer.matrix, layer.columns, layer.dtype, target, count)


def _predicted_on_cpu(layer: "Layer", schedule: Schedule) -> float | None:
    """Microseconds; None for code, which is not modelled."""
    if schedule.lowering != "data":
        return None
    matrix = layer.matrix
    if layer.window is not None:
        return predict_cpu_convolution(ConvolutionFacts.of(layer), schedule) * 1e6
    product = CpuFacts(*matrix.shape, layer.columns, matrix.nonzeros, layer.dtype)
    return predict_cpu(product, schedule) * 1e6


def device_name(target: str) -> str:
    """What `target` is measured on here."""
    gpu = None if target == "cpu" else find_gpu()
    return gpu.name if gpu is not None else f"{host_description()[0]}, {platform.machine()}"


def _store(record: TuningRecord, path: str | os.PathLike[str]) -> None:
    try:
        record.save(path)
    except OSError as error:
        warnings.warn(
            f"the tuning record could not be stored in {os.fspath(path)}: {error}",
            TuningWarning,
            stacklevel=3,
        )
