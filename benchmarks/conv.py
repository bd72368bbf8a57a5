"""Sparse 3x3 convolutions of ResNet-50 against cuDNN, on the GPU present.

    python benchmarks/conv.py --output results/conv
    python benchmarks/conv.py --path DIRECTORY --batch 1 8 --candidates 12 --seconds 550
    python benchmarks/conv.py --schedule results/conv.json

Writes OUTPUT.md and OUTPUT.json, renewed after each case, so that a run may be stopped at any time.
Every result is checked against float64 before it is timed by CUDA graph replays; cuDNN runs in the
same process with its benchmark mode on. For ours the compiler's own schedule and the fastest of
--candidates, or the one that an earlier run found, are both reported.
"""

import argparse
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from convolution_cases import ConvolutionCase, resnet50_cases
from convolution_jobs import (
    PEERS,
    BuiltConvolution,
    ConvolutionBuild,
    ConvolutionMeasurement,
    build_convolution,
    measure_convolution,
)
from machine import this_machine
from markdown import table
from results import replace_text
from sparsert_ir import Schedule
from sparsert_ir.convolution import filter_matrix
from sparsert_ir.schedules.convolution import convolution_lowering, default_convolution
from sparsert_ir.schedules.convolution_candidates import best_convolutions
from sparsert_ir.targets import nearest_architecture
from sparsert_ir.window import Window
from sparsert_ir.workers.pool import Finished, WorkerPool

BuildEnd: TypeAlias = Finished[ConvolutionBuild, BuiltConvolution]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    deadline = time.monotonic() + options.seconds
    machine = this_machine()
    header: dict[str, Any] = {
        "title": "Sparse convolutions: ResNet-50's 3x3 layers",
        "command": shlex.join(["python", "benchmarks/conv.py", *(arguments or sys.argv[1:])]),
        "machine": machine.record(),
    }
    target = nearest_architecture(machine.arch)
    plans = {
        case.label: [job for dtype in options.dtype for job in builds(case, dtype, target, options)]
        for case in resnet50_cases(options.batch, options.sparsity, options.path)
        if not options.only or any(part in case.label for part in options.only)
    }
    rows: list[dict[str, Any]] = []
    with (
        WorkerPool(build_convolution, options.workers, options.build_seconds) as builders,
        WorkerPool(measure_convolution, 1, options.measure_seconds) as measurer,
    ):
        waiting: dict[str, list[BuildEnd]] = {}
        for end in builders.run((job for jobs in plans.values() for job in jobs), deadline):
            label = end.task.case.label
            ends = waiting.setdefault(label, [])
            ends.append(end)
            if len(ends) < len(plans[label]):
                continue
            rows.append(measure_case(waiting.pop(label), options, measurer))
            write_all(options.output, header, rows)
            print(summary_line(rows[-1]), flush=True)
    for label in plans.keys() - {row["label"] for row in rows}:
        print(f"{label}: no time left", file=sys.stderr)
    print(f"{len(rows)} cases in {options.output}.md")
    return 0 if rows else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--path", type=Path, help="directory of real filters (*.npz)")
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--sparsity", type=float, nargs="*", default=[0.91, 0.96])
    parser.add_argument("--dtype", nargs="*", choices=["f32", "f16"], default=["f32", "f16"])
    parser.add_argument("--only", nargs="*", default=[], help="parts of labels to keep")
    parser.add_argument(
        "--schedule",
        default="tuned",
        help='"default": the compiler\'s; "tuned": besides, the fastest of --candidates; or the'
        " OUTPUT.json of an earlier run, whose fastest of the case is taken",
    )
    parser.add_argument("--candidates", type=int, default=8, help="schedules per case, when tuned")
    parser.add_argument("--code-budget", type=int, default=16 * 2**20, help="bytes per kernel")
    parser.add_argument("--seconds", type=float, default=550)
    parser.add_argument("--build-seconds", type=float, default=120)
    parser.add_argument("--measure-seconds", type=float, default=60)
    parser.add_argument("--replays", type=int, default=50)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--output", type=Path, default=Path("conv"), help="without a suffix")
    return parser.parse_args(arguments)


def measure_case(
    ends: Sequence[BuildEnd],
    options: argparse.Namespace,
    measurer: WorkerPool[ConvolutionMeasurement, Any],
) -> dict[str, Any]:
    """Everything about one case; what fails is named in it and stops nothing."""
    case = ends[0].task.case
    row: dict[str, Any] = {
        "label": case.label,
        "batch": case.batch,
        "stride": case.stride,
        "sparsity": case.sparsity,
        "nonzeros": int((case.weight != 0).sum()),
        "failures": [],
    }
    timings = [
        ConvolutionMeasurement(case, "f16" if "f16" in peer else "f32", peer, options.replays)
        for peer in PEERS
    ]
    schedules: dict[int, tuple[ConvolutionBuild, BuiltConvolution]] = {}
    for end in ends:
        if end.value is None:
            row["failures"].append(f"build {describe(end.task)}: {end.failure[-300:]}")
            continue
        timing = ConvolutionMeasurement(case, end.task.dtype, end.value.binary, options.replays)
        schedules[id(timing)] = (end.task, end.value)
        timings.append(timing)
    for timing in timings:
        for end in measurer.run([timing]):
            note(row, end, schedules.get(id(timing)))
    return row


def builds(
    case: ConvolutionCase, dtype: str, target: str, options: argparse.Namespace
) -> list[ConvolutionBuild]:
    """The compiler's own choice, then the candidates."""
    kind: Any = dtype
    chosen = dict.fromkeys([None, *schedules(case, dtype, target, options)])
    return [
        ConvolutionBuild(case, kind, target, schedule, options.code_budget) for schedule in chosen
    ]


def schedules(
    case: ConvolutionCase, dtype: str, target: str, options: argparse.Namespace
) -> list[Schedule]:
    """Those that compete with the compiler's own."""
    if options.schedule == "default":
        return []
    if options.schedule != "tuned":
        found = fastest_schedules(Path(options.schedule)).get((case.label, dtype))
        return [] if found is None else [found]
    matrix = filter_matrix(case.weight, 1, {"f32": "float32", "f16": "float16"}[dtype])[0]
    side, padding = case.side, case.padding
    window = Window(
        batch=case.batch,
        channels=case.weight.shape[1],
        image=(side, side),
        kernel=(case.weight.shape[2], case.weight.shape[3]),
        strides=(case.stride, case.stride),
        padding=(padding, padding, padding, padding),
    )
    choice = convolution_lowering(matrix.shape, matrix.nonzeros, window, options.code_budget)
    own = default_convolution(matrix.shape, window, dtype, target, choice.lowering)
    found = best_convolutions(matrix, window, dtype, target, options.candidates + 1)
    return [one for one in found if one != own][: options.candidates]


def fastest_schedules(path: Path) -> dict[tuple[str, str], Schedule]:
    """By label and element type, from the JSON of an earlier run."""
    if not path.is_file():
        raise SystemExit(f"--schedule: expected default, tuned or a file, got {path}")
    return {
        (row["label"], dtype): Schedule(**row[f"ours {dtype}"]["schedule"])
        for row in json.loads(path.read_text(encoding="utf-8"))["cases"]
        for dtype in ("f32", "f16")
        if f"ours {dtype}" in row
    }


def describe(job: ConvolutionBuild) -> str:
    return f"{job.dtype} {job.schedule or 'default'}"


def note(
    row: dict[str, Any],
    end: Finished[ConvolutionMeasurement, Any],
    built: tuple[ConvolutionBuild, BuiltConvolution] | None,
) -> None:
    """Put a time, or why there is none, into the row."""
    name = end.task.run if isinstance(end.task.run, str) else f"ours {end.task.dtype}"
    if end.value is None or not end.value.ok:
        why = end.failure[-300:] if end.value is None else f"wrong, error {end.value.error:.2g}"
        schedule = "" if built is None else f" {built[1].schedule}"
        row["failures"].append(f"measure {name}{schedule}: {why}")
        return
    entry = asdict(end.value)
    if built is None:
        row[name] = entry
        return
    entry["schedule"] = asdict(built[1].schedule)
    if built[0].schedule is None:
        row[f"{name} default"] = entry
    if name not in row or entry["us"] < row[name]["us"]:
        row[name] = entry


def microseconds(row: dict[str, Any], name: str) -> float | None:
    return row[name]["us"] if name in row else None


def ratio(row: dict[str, Any], ours: str, peers: Sequence[str]) -> float | None:
    """How many times faster ours is than the fastest of the peers."""
    mine = microseconds(row, ours)
    theirs = [us for peer in peers if (us := microseconds(row, peer)) is not None]
    return min(theirs) / mine if mine is not None and theirs else None


COMPARISONS = (
    ("ours f32", ("cudnn f32",)),
    ("ours f32", ("cudnn tf32",)),
    ("ours f16", ("cudnn f16", "cudnn f16 nhwc")),
    ("ours f32 default", ("cudnn f32",)),
    ("ours f32 default", ("cudnn tf32",)),
    ("ours f16 default", ("cudnn f16", "cudnn f16 nhwc")),
)


def summary_line(row: dict[str, Any]) -> str:
    names = ("ours f32", "ours f32 default", "ours f16", "ours f16 default", *PEERS)
    times = [(name, microseconds(row, name)) for name in names]
    text = ", ".join(f"{name} {us:.2f}" for name, us in times if us is not None)
    return f"{row['label']}: {text}; {len(row['failures'])} failures"


def write_all(output: Path, header: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**header, "cases": rows}, indent=1)
    replace_text(output.with_name(output.name + ".json"), text + "\n")
    replace_text(output.with_name(output.name + ".md"), report(header, rows))


def report(header: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Geometric means, every case, the best schedules and what failed."""
    machine = header["machine"]
    names = ["ours f32", "ours f32 default", *PEERS[:2], "ours f16", "ours f16 default", *PEERS[2:]]
    cases = [[row["label"], *(_number(microseconds(row, name)) for name in names)] for row in rows]
    parts = [
        f"# {header['title']}",
        f"`{header['command']}`",
        f"{machine['gpu']}, {machine['versions']}",
        "## Geometric means over the stride-1 layers",
        table(["batch", "sparsity", "cases", *map(_title, COMPARISONS)], _means(rows)),
        "## Cases",
        "Microseconds per launch from CUDA graph replays, checked against float64 first.",
        table(["case", *names], cases),
        "## Best schedules",
        "\n".join(
            f"- {row['label']} {name}: {row[name]['schedule']}, {row[name]['registers']} registers,"
            f" {row[name]['spilled_bytes']} bytes spilled, {row[name]['code_bytes']} bytes of code"
            for row in rows
            for name in ("ours f32", "ours f16")
            if name in row
        ),
        "## Failures",
        "\n".join(f"- {row['label']}: {failure}" for row in rows for failure in row["failures"]),
    ]
    return "\n\n".join(parts) + "\n"


def _title(comparison: tuple[str, tuple[str, ...]]) -> str:
    ours, peers = comparison
    return f"{ours} / {' or '.join(peers)}"


def _means(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines: list[list[str]] = []
    groups = sorted({(row["batch"], round(row["sparsity"], 2)) for row in rows})
    for batch, sparsity in groups:
        group = [
            row
            for row in rows
            if (row["batch"], round(row["sparsity"], 2)) == (batch, sparsity) and row["stride"] == 1
        ]
        cells = [_mean([ratio(row, *comparison) for row in group]) for comparison in COMPARISONS]
        lines.append([str(batch), f"{100 * sparsity:.0f}%", str(len(group)), *cells])
    return lines


def _mean(ratios: Sequence[float | None]) -> str:
    known = [value for value in ratios if value is not None]
    if not known:
        return "-"
    mean = math.exp(sum(map(math.log, known)) / len(known))
    return f"{mean:.2f}x ({len(known)}; {min(known):.2f})"


def _number(us: float | None) -> str:
    return "-" if us is None else f"{us:.2f}"


if __name__ == "__main__":
    sys.exit(main())
