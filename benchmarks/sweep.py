"""Compile and time many schedules; one JSON line each. The cost model is fitted on this.

    python benchmarks/sweep.py --suite mobilenet --path DIRECTORY --seconds 300 --output sweep.jsonl

Builds in parallel processes, checks every kernel against float64 before it is timed, and can be
stopped at any time: what was measured is in the file. Run again with the same --output (or the old
file as --done) to go on. A line holds the case, the schedule, `us` (median per launch), registers,
code_bytes, error and ok; or `failure`. The first line describes the machine.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cases import SUITES, Case, cases_of, select
from machine import this_machine
from measure_job import MeasureJob, Measurement, measure
from sparsert_ir.errors import SparsertError
from sparsert_ir.gpu_facts import OVERLAP_FROM, architecture_number
from sparsert_ir.targets import nearest_architecture
from sparsert_ir.tuner.build_job import Build
from sparsert_ir.workers.pool import Finished, WorkerPool
from trials import Trial, TrialOptions, build_trial, interleaved, keys_of, trials_of


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    begin = time.monotonic()
    machine = this_machine()
    target = nearest_architecture(machine.arch)
    cases = select(cases_of(options.suite, options.path), options.only, options.limit)
    cases = [case for case in cases if is_wanted(case, options)]
    how = TrialOptions(
        target,
        tuple(options.dtype),
        options.per_case,
        options.seed,
        tuple(options.set),
        options.code_budget,
        0 if options.assemble == "workers" else None,
        tuple(options.launch or launches_of(target)),
        tuple(options.lowering),
    )
    done = keys_of([options.output, *options.done])
    trials = interleaved([trials_of(case, how) for case in cases], done)
    with (
        options.output.open("a") as lines,
        WorkerPool(build_trial, options.workers, options.build_seconds) as builders,
        WorkerPool(measure, 1, options.measure_seconds) as measurer,
    ):
        write_line(lines, {"machine": machine.record(), "command": sys.argv})
        written = 0
        deadline = begin + options.seconds
        for finished in builders.run(until(deadline, trials), deadline):
            row = row_of(finished, measurer, options.replays)
            write_line(lines, row)
            written += 1
            if sys.stderr.isatty() or written % 50 == 0:
                print(f"{time.monotonic() - begin:6.0f} s {written} rows", file=sys.stderr)
    print(f"{written} rows in {options.output}, {time.monotonic() - begin:.0f} s")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--suite", choices=SUITES, default="shapes")
    parser.add_argument("--path", type=Path, help="directory of the suite's data")
    parser.add_argument("--only", nargs="*", default=[], help="parts of labels to keep")
    parser.add_argument("--sparsity", type=float, nargs="*", default=[])
    parser.add_argument("--dtype", nargs="*", choices=["f32", "f16"], default=["f32"])
    parser.add_argument("--limit", type=int, help="cases at most")
    parser.add_argument("--max-nonzeros", type=int, default=120_000)
    parser.add_argument("--per-case", type=int, default=400, help="schedules per case at most")
    parser.add_argument("--seed", type=int, default=0, help="decides which schedules are tried")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KNOB=A,B", help="only these values of a knob"
    )
    parser.add_argument("--lowering", nargs="*", choices=["code", "data"], default=["code"])
    parser.add_argument(
        "--launch",
        nargs="*",
        choices=["serial", "overlapped"],
        help="overlapped by default where the GPU can (sm_90)",
    )
    parser.add_argument("--code-budget", type=int, default=2 * 2**20, help="bytes per kernel")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--build-seconds", type=float, default=60)
    parser.add_argument("--measure-seconds", type=float, default=30)
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument(
        "--assemble",
        choices=["workers", "measurer"],
        default="workers",
        help="which processes turn PTX into machine code",
    )
    parser.add_argument("--done", type=Path, nargs="*", default=[], help="earlier outputs")
    parser.add_argument("--output", type=Path, default=Path("sweep.jsonl"))
    return parser.parse_args(arguments)


def launches_of(target: str) -> list[str]:
    return ["overlapped" if architecture_number(target) >= OVERLAP_FROM else "serial"]


def is_wanted(case: Case, options: argparse.Namespace) -> bool:
    """False, too, for a file that cannot be read: the others are still measured."""
    if options.sparsity and case.sparsity not in options.sparsity:
        return False
    try:
        return case.matrix("f32").nonzeros <= options.max_nonzeros
    except (OSError, ValueError, SparsertError) as error:
        print(f"{case.label}: skipped: {error}", file=sys.stderr)
        return False


def until(deadline: float, trials: Iterator[Trial]) -> Iterator[Trial]:
    return itertools.takewhile(lambda _: time.monotonic() < deadline, trials)


def row_of(
    finished: Finished[Trial, Build],
    measurer: WorkerPool[MeasureJob, Measurement],
    replays: int,
) -> dict[str, Any]:
    trial = finished.task
    case, layer = trial.case, trial.layer
    schedule = layer.schedule
    assert schedule is not None
    rows, depth = layer.matrix.shape
    row: dict[str, Any] = {
        "label": case.label,
        "suite": case.suite,
        "m": rows,
        "k": depth,
        "n": case.n,
        "nonzeros": layer.matrix.nonzeros,
        "dtype": layer.dtype,
        "schedule": asdict(schedule),
    }
    built = finished.value
    if built is None:
        return row | {"failure": f"{finished.kind}: {finished.failure}"[:500]}
    binary = built.binary
    row |= {
        "grid": binary.launch.grid,
        "block": binary.launch.block,
        "loads": built.loads,
        "compile_s": round(built.compile_seconds, 3),
        "assemble_s": round(built.assemble_seconds, 3),
    }
    narrow = layer.dtype == "f16" and schedule.accumulation != "f32"
    job = MeasureJob(
        case.label,
        layer.matrix,
        case.n,
        layer.dtype,
        "f16" if narrow else "f32",
        binary,
        replays,
    )
    (end,) = measurer.run([job])
    if end.value is None:
        return row | {"failure": f"{end.kind}: {end.failure}"[:500]}
    measured = asdict(end.value)
    return row | {"us": measured.pop("median_us"), **measured}


def write_line(lines: Any, row: dict[str, Any]) -> None:
    lines.write(json.dumps(row) + "\n")
    lines.flush()


if __name__ == "__main__":
    sys.exit(main())
