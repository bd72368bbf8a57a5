"""The matrix as data at small N: weights from memory, f16 with sums in f32.

    python benchmarks/data_lowering.py --seconds 400 --output results/data_lowering
    python benchmarks/data_lowering.py --shapes 4096x4096 --n 1 4 16 --candidates 20

Copies of each weight take turns until they are twice as large as the L2 cache, so that every launch
reads its weight from device memory, as a model with many layers does; the peers' weights take turns
in the same way. Writes OUTPUT.md and OUTPUT.json, renewed after each product.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from cases import UNEVENNESS, uneven_matrix
from data_jobs import DataCase, DataJob, build_data
from data_report import PEERS, DataResult, one_line, report
from machine import Machine, this_machine
from measure_job import MeasureJob, Measurement
from peers import PeerJob, PeerTime
from results import replace_text
from sparsert_ir.frontend import Layer
from sparsert_ir.gpu_facts import OVERLAP_FROM, architecture_number
from sparsert_ir.schedules.candidates import data_candidates, data_neighbours, sampled
from sparsert_ir.schedules.default import gpu_schedule_for
from sparsert_ir.targets import nearest_architecture
from sparsert_ir.tuner.build_job import Build
from sparsert_ir.workers.pool import Finished, WorkerPool
from spmm import beside
from work import Job, Measurer, measure_any, measured_bandwidth

_L2_MULTIPLE = 2
_MOST_COPIES = 64


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    begin = time.monotonic()
    machine = this_machine()
    results: list[DataResult] = []
    with (
        WorkerPool(build_data, options.workers, options.build_seconds) as builders,
        WorkerPool(measure_any, 1, options.measure_seconds) as measurer,
    ):
        header = {
            "command": shlex.join(["python", "benchmarks/data_lowering.py", *sys.argv[1:]]),
            "machine": machine.record(),
            "bytes_per_second": measured_bandwidth(measurer),
        }
        deadline = begin + options.seconds
        waiting: dict[str, list[Finished[DataJob, Build]]] = {}
        for finished in builders.run(jobs_of(options, machine, deadline), deadline):
            case = finished.task.case
            built = waiting.setdefault(case.label, [])
            built.append(finished)
            if len(built) < case.jobs:
                continue
            results.append(
                measured(case, waiting.pop(case.label), options.peers, machine, measurer)
            )
            write_all(options.output, header, results)
            print(f"{time.monotonic() - begin:5.0f} s {one_line(results[-1])}", flush=True)
    print(f"{len(results)} results in {options.output}.md")
    return 0 if results else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shapes = ["4096x4096", "11008x4096", "4096x11008", "14336x4096"]
    parser.add_argument("--shapes", nargs="*", default=shapes)
    parser.add_argument("--sparsity", type=float, nargs="*", default=[0.7, 0.8, 0.9, 0.95])
    parser.add_argument(
        "--unevenness",
        type=float,
        nargs="*",
        default=[0.0, UNEVENNESS],
        help="of the rows' lengths: 0 for a uniform mask",
    )
    parser.add_argument("--n", type=int, nargs="*", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--candidates", type=int, default=0, help="besides the default schedule")
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--build-seconds", type=float, default=120)
    parser.add_argument("--measure-seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=max(1, min(8, (os.cpu_count() or 2) - 2)))
    parser.add_argument("--output", type=Path, default=Path("data_lowering"))
    return parser.parse_args(arguments)


def ordinal_of_builds() -> int | None:
    """The GPU that builds are assembled for."""
    return 0


def jobs_of(options: argparse.Namespace, machine: Machine, deadline: float) -> Iterator[DataJob]:
    target = nearest_architecture(machine.arch)
    overlapped = architecture_number(target) >= OVERLAP_FROM
    shapes = [(int(text.split("x")[0]), int(text.split("x")[1])) for text in options.shapes]
    for unevenness, shape, sparsity in product(options.unevenness, shapes, options.sparsity):
        matrix = uneven_matrix(shape, 1 - sparsity, unevenness=unevenness).astype(np.float16)
        for n in options.n:
            if time.monotonic() > deadline:
                return
            default = gpu_schedule_for(matrix, n, "f16", "data", target)
            near = data_neighbours(default, shape, n, "f16", target)
            grid = data_candidates(shape, n, "f16", target, overlapped=overlapped)
            found = sampled(grid, seed=0)
            schedules = [None, *dict.fromkeys([*near, *found])][: 1 + options.candidates]
            case = DataCase(shape, unevenness, sparsity, n, matrix, len(schedules))
            for schedule in schedules:
                layer = Layer(matrix=matrix, columns=n, dtype="f16", schedule=schedule)
                yield DataJob(
                    layer=layer,
                    target=target,
                    ordinal=ordinal_of_builds(),
                    lowering="data",
                    case=case,
                )


def measured(
    case: DataCase,
    ends: list[Finished[DataJob, Build]],
    peers: Sequence[str],
    machine: Machine,
    measurer: Measurer,
) -> DataResult:
    result = DataResult(
        case.label, case.shape, case.unevenness, case.sparsity, case.n, case.matrix.nonzeros
    )
    for end in ends:
        if end.value is None:
            result.failures.append(f"{end.kind}: {end.failure}"[:300])
            continue
        us = add_ours(result, case, end.value, machine, measurer)
        if end.task.layer.schedule is None:
            result.default_us = us
    for peer in peers:
        copies = copies_for(peer_bytes(peer, case), machine)
        job = PeerJob(case.label, case.matrix, case.n, "f16", peer, copies=copies)
        answer = ask(measurer, job)
        right = isinstance(answer, PeerTime) and answer.ok
        result.peers[peer] = answer.median_us if isinstance(answer, PeerTime) and right else None
        if not right:
            result.failures.append(f"{peer}: {answer}"[:300])
    return result


def add_ours(
    result: DataResult, case: DataCase, built: Build, machine: Machine, measurer: Measurer
) -> float | None:
    """Measure one of our kernels, in microseconds; it becomes the result's if it is the fastest."""
    packed = sum(array.nbytes for _, array in built.binary.constants)
    copies = copies_for(packed, machine)
    job = MeasureJob(case.label, case.matrix, case.n, "f16", "f32", built.binary, copies=copies)
    answer = ask(measurer, job)
    if not isinstance(answer, Measurement) or not answer.ok:
        reason = answer.reason if isinstance(answer, Measurement) else str(answer)
        result.failures.append(reason[:300])
        return None
    schedule = "" if built.schedule is None else built.schedule.short()
    result.tried.append((answer.median_us, schedule))
    if result.us is None or answer.median_us < result.us:
        moved = packed + 2 * sum(case.shape) * case.n
        result.us, result.error, result.copies = answer.median_us, answer.error, copies
        result.schedule, result.packed_bytes = built.schedule, packed
        result.gigabytes = moved / answer.median_us / 1e3
    return answer.median_us


def ask(measurer: Measurer, job: Job) -> Any:
    (end,) = measurer.run([job])
    return f"{end.kind}: {end.failure}" if end.value is None else end.value


def peer_bytes(peer: str, case: DataCase) -> int:
    dense = 2 * case.shape[0] * case.shape[1]
    return dense if peer.startswith("cublas") else 6 * case.matrix.nonzeros


def copies_for(weight_bytes: int, machine: Machine) -> int:
    """So many that together they are larger than the L2 cache."""
    wanted = -(-_L2_MULTIPLE * machine.l2_bytes // max(1, weight_bytes)) + 1
    return min(wanted, _MOST_COPIES)


def write_all(output: Path, header: dict[str, Any], results: list[DataResult]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(one) | {"ratios": {peer: one.ratio(peer) for peer in PEERS}} for one in results]
    replace_text(beside(output, ".json"), json.dumps({**header, "results": rows}, indent=1))
    replace_text(beside(output, ".md"), report(header, results))


if __name__ == "__main__":
    sys.exit(main())
