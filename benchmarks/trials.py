"""Which schedules are tried on a case, in which order."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from cases import Case
from sparsert_ir import Schedule, SparseMatrix
from sparsert_ir.frontend import Layer
from sparsert_ir.gpu_facts import CLUSTERS_FROM, architecture_number
from sparsert_ir.schedule import Lowering
from sparsert_ir.schedules.candidates import data_candidates, gpu_candidates, sampled
from sparsert_ir.schedules.default import gpu_schedule_for
from sparsert_ir.tuner.build_job import Build, BuildJob, build


@dataclass(frozen=True)
class TrialOptions:
    """per_case: schedules at most; settings: "knob=a,b" keeps schedules with one of the values;
    ordinal: the GPU that workers assemble for, None if they do not; launches: "serial",
    "overlapped"; lowerings: "code", "data"."""

    target: str
    dtypes: tuple[Literal["f32", "f16"], ...]
    per_case: int
    seed: int
    settings: tuple[str, ...]
    code_budget: int
    ordinal: int | None
    launches: tuple[str, ...] = ("serial",)
    lowerings: tuple[Lowering, ...] = ("code",)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial(BuildJob):
    """A build job that knows its case."""

    case: Case
    key: str

    def __getstate__(self) -> dict[str, Any]:
        # The case reads files; the process that builds does not need it.
        return self.__dict__ | {"case": None}


def build_trial(trial: Trial) -> Build:
    return build(trial)


def trials_of(case: Case, options: TrialOptions) -> Iterator[Trial]:
    """The default schedule of a case first, then a fair sample of all, for each element type."""
    per_type = [_trials(case, dtype, options) for dtype in options.dtypes]
    for turn in itertools.zip_longest(*per_type):
        yield from (trial for trial in turn if trial is not None)


def _trials(case: Case, dtype: Literal["f32", "f16"], options: TrialOptions) -> Iterator[Trial]:
    matrix = case.matrix(dtype)
    defaults = [
        gpu_schedule_for(matrix, case.n, dtype, lowering, options.target)
        for lowering in options.lowerings
    ]
    tried = [*defaults, *sampled(_candidates(matrix, case.n, dtype, options), options.seed)]
    wanted = [one for one in tried if _fits(one, options)]
    layer = Layer(matrix=matrix, columns=case.n, dtype=dtype)
    for schedule in list(dict.fromkeys(wanted))[: options.per_case]:
        yield Trial(
            layer=replace(layer, schedule=schedule),
            target=options.target,
            ordinal=options.ordinal,
            code_budget=options.code_budget,
            case=case,
            key=key_of(case.label, dtype, asdict(schedule)),
        )


def _candidates(matrix: SparseMatrix, n: int, dtype: str, options: TrialOptions) -> list[Schedule]:
    found: list[Schedule] = []
    for launch in options.launches:
        overlapped = launch == "overlapped"
        if "code" in options.lowerings:
            clusters = architecture_number(options.target) >= CLUSTERS_FROM
            found += gpu_candidates(
                matrix.shape, n, dtype, overlapped=overlapped, clusters=clusters
            )
        if "data" in options.lowerings:
            found += data_candidates(matrix.shape, n, dtype, options.target, overlapped=overlapped)
    return found


def _fits(schedule: Schedule, options: TrialOptions) -> bool:
    known = {field.name for field in fields(Schedule)}
    for setting in options.settings:
        knob, _, values = setting.partition("=")
        if knob not in known:
            raise SystemExit(f"--set: expected one of {', '.join(sorted(known))}, got {knob!r}")
        if str(getattr(schedule, knob)) not in values.split(","):
            return False
    return True


def key_of(label: str, dtype: str, schedule: dict[str, Any]) -> str:
    return json.dumps([label, dtype, schedule], sort_keys=True)


def keys_of(files: list[Path]) -> set[str]:
    """What earlier runs have tried; a line cut short by a kill is skipped."""
    found: set[str] = set()
    lines = [file.read_text().splitlines() for file in files if file.exists()]
    for line in itertools.chain.from_iterable(lines):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "schedule" in row:
            found.add(key_of(row["label"], row["dtype"], row["schedule"]))
    return found


def interleaved(sources: list[Iterator[Trial]], done: set[str]) -> Iterator[Trial]:
    """One trial of each source in turn, so that a run that is cut short has some of each."""
    for turn in itertools.zip_longest(*sources):
        yield from (trial for trial in turn if trial is not None and trial.key not in done)
