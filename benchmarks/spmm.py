"""Sparse times dense against what users have instead, on the GPU present.

    python benchmarks/spmm.py --suite mobilenet --path DIRECTORY --output results/mobilenet
    python benchmarks/spmm.py --suite dlmc --path DIRECTORY --dtype f32 f16 --seconds 500
    python benchmarks/spmm.py --suite shapes --schedule tuned

Writes OUTPUT.md, OUTPUT.json and, with matplotlib, OUTPUT.png; renewed after each case, so that a
run may be stopped at any time. Every product is checked against float64 on a y full of NaN before
it is timed by CUDA graph replays; all peers run in the same process. Bias and ReLU are left out,
as the peers' products have none; --epilogue puts them into ours.
"""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cases import SUITES, cases_of, select
from comparison import Comparison
from machine import Machine, this_machine
from markdown import report
from plan import Ending, Plan, build_any, plan_of
from plot import plot
from results import CaseResult, replace_text, write_json
from schedules import ScheduleSource
from sparsert_ir.errors import SparsertError
from sparsert_ir.workers.pool import WorkerPool
from work import measure_any, measured_bandwidth


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    begin = time.monotonic()
    deadline = begin + options.seconds
    machine = this_machine()
    header: dict[str, Any] = {
        "title": f"Sparse times dense: {options.suite}",
        "command": shlex.join(["python", "benchmarks/spmm.py", *(arguments or sys.argv[1:])]),
        "machine": machine.record(),
        "schedule": options.schedule,
    }
    with (
        WorkerPool(build_any, options.workers, options.build_seconds) as builders,
        WorkerPool(measure_any, 1, options.measure_seconds) as measurer,
    ):
        limits = machine.limits(measured_bandwidth(measurer))
        header["bytes_per_second"] = limits.bytes_per_second
        comparison = Comparison(measurer, limits, options.replays, deadline)
        results: list[CaseResult] = []
        plans = plans_of(options, machine)
        for result in comparison.run(plans, builders):
            results.append(result)
            write_all(options.output, header, results)
            progress(result, len(results), time.monotonic() - begin)
    plot(results, beside(options.output, ".png"))
    print(f"{len(results)} results in {options.output}.md, {time.monotonic() - begin:.0f} s")
    return 0 if results else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", choices=SUITES, default="shapes")
    parser.add_argument("--path", type=Path, help="directory of the suite's data")
    parser.add_argument("--only", nargs="*", default=[], help="parts of labels to keep")
    parser.add_argument("--sparsity", type=float, nargs="*", default=[])
    parser.add_argument("--dtype", nargs="*", choices=["f32", "f16"], default=["f32", "f16"])
    parser.add_argument(
        "--schedule",
        default="default",
        help='"default": the cost model\'s; "tuned": the fastest of --candidates; or a file of'
        " sweep.py, whose fastest of the case is taken",
    )
    parser.add_argument("--candidates", type=int, default=24, help="per case, when tuned")
    parser.add_argument("--epilogue", action="store_true", help="bias and ReLU in our kernels")
    parser.add_argument("--no-gimmik", action="store_true")
    parser.add_argument("--gimmik-nonzeros", type=int, default=30_000, help="more are skipped")
    parser.add_argument("--limit", type=int, help="cases at most")
    parser.add_argument("--code-budget", type=int, default=4 * 2**20, help="bytes per kernel")
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--build-seconds", type=float, default=90)
    parser.add_argument("--measure-seconds", type=float, default=60)
    parser.add_argument("--replays", type=int, default=50)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--output", type=Path, default=Path("spmm"), help="without a suffix")
    return parser.parse_args(arguments)


def plans_of(options: argparse.Namespace, machine: Machine) -> Iterator[Plan]:
    """What to build for each case; a case that cannot be read is reported and left out."""
    source = ScheduleSource.of(options.schedule, options.candidates)
    for case in select(cases_of(options.suite, options.path), options.only, options.limit):
        if options.sparsity and case.sparsity not in options.sparsity:
            continue
        for dtype in options.dtype:
            try:
                yield plan_of(case, dtype, machine.arch, source, ending_of(options))
            except (OSError, ValueError, SparsertError) as error:
                print(f"{case.label} {dtype}: skipped: {error}", file=sys.stderr)


def ending_of(options: argparse.Namespace) -> Ending:
    return Ending(
        epilogue=options.epilogue,
        gimmik_nonzeros=0 if options.no_gimmik else options.gimmik_nonzeros,
        code_budget=options.code_budget,
    )


def write_all(output: Path, header: dict[str, Any], results: list[CaseResult]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    write_json(beside(output, ".json"), header, results)
    replace_text(beside(output, ".md"), report(header, results))


def beside(output: Path, suffix: str) -> Path:
    """Like `with_suffix`, but what looks like a suffix already may stay ("mobilenet_0.9")."""
    return output.with_name(output.name + suffix)


def progress(result: CaseResult, count: int, seconds: float) -> None:
    ours = "failed" if result.us is None else f"{result.us:.2f} us"
    peers = " ".join(
        f"{peer} {ratio:.2f}x" for peer in result.peers if (ratio := result.ratio(peer)) is not None
    )
    print(f"{seconds:5.0f} s {count:3d} {result.label} {result.dtype}: {ours} {peers}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
