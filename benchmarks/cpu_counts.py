"""Instructions and cache misses of CPU kernels and their peers, counted by valgrind's cachegrind.

    python benchmarks/cpu_counts.py --only 0.95/256x1024 0.9/512x2048/49 --output build/cpu-counts

For machines without hardware counters. Each contender runs in two processes under cachegrind that
differ in the number of calls; the difference, divided, is one call. Valgrind knows no AVX-512, and
tells programs so: every contender runs its AVX2 code, with about twice the instructions. It counts
a load of 32 bytes as four. Misses are those of the data and hardly depend on it. The caches
simulated are --l1 and --l2; cachegrind counts each line once, knows no prefetching, and calls the
last cache that it simulates LL.

Needs valgrind (https://valgrind.org). Writes OUTPUT.md and OUTPUT.json. One thread.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cases import Case, select
from cpu import last_name, machine
from cpu_products import OURS, PEERS, contest, product_cases
from markdown import table
from results import replace_text

COUNTERS = {
    "instructions": r"I\s+refs:\s+([\d,]+)",
    "loads and stores": r"D\s+refs:\s+([\d,]+)",
    "L1 misses": r"D1\s+misses:\s+([\d,]+)",
    "L2 misses": r"LLd\s+misses:\s+([\d,]+)",
}
"""Columns, and where cachegrind's summary has them."""
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
_WARM = 2


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parse(given)
    cases = list(product_cases(options.path))
    if options.child is not None:
        label, contender, calls = options.child
        case = next(case for case in cases if case.label == label)
        compute = contest(case, 1, [contender]).contenders[contender]
        for _ in range(int(calls)):
            compute()
        return 0
    cases = select(cases, options.only, None)
    if not cases:
        raise SystemExit("expected a case, got none: see --path and --only")
    if shutil.which("valgrind") is None:
        raise SystemExit("expected valgrind on the path; install it (apt install valgrind)")
    rows: list[dict[str, Any]] = []
    for case in cases:
        for contender in options.contenders:
            counts = count(case, contender, options)
            rows.append({"label": case.label, "contender": contender, "counts": counts})
            print(case.label, contender, counts, flush=True)
    header = {
        "command": shlex.join(["python", "benchmarks/cpu_counts.py", *map(last_name, given)]),
        "machine": machine(),
    }
    output: Path = options.output
    output.parent.mkdir(parents=True, exist_ok=True)
    document = json.dumps({**header, "rows": rows}, indent=1)
    replace_text(output.with_name(output.name + ".json"), document + "\n")
    replace_text(output.with_name(output.name + ".md"), report(header, rows, options))
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--path", type=Path, help="directory of the mobilenet weights")
    parser.add_argument("--only", nargs="*", default=[], help="parts of labels to keep")
    parser.add_argument(
        "--contenders", nargs="+", choices=[OURS, *PEERS], default=[OURS, "numpy", "scipy CSR"]
    )
    parser.add_argument("--calls", type=int, default=4, help="that are counted")
    parser.add_argument("--l1", default="49152,12,64", help="bytes, ways, bytes of a line")
    parser.add_argument("--l2", default="1048576,16,64")
    parser.add_argument("--output", type=Path, default=Path("cpu-counts"), help="without a suffix")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def count(case: Case, contender: str, options: argparse.Namespace) -> dict[str, int]:
    """Of one call, warm."""
    few, many = (
        _counters(case, contender, calls, options) for calls in (_WARM, _WARM + options.calls)
    )
    return {name: (many[name] - few[name]) // options.calls for name in COUNTERS}


def _counters(
    case: Case, contender: str, calls: int, options: argparse.Namespace
) -> dict[str, int]:
    """What cachegrind says of a whole process."""
    child = [sys.executable, __file__, "--child", case.label, contender, str(calls)]
    if options.path is not None:
        child += ["--path", str(options.path)]
    variables = os.environ | dict.fromkeys(_ONE_THREAD, "1") | {"PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as directory:
        tool = [
            "valgrind",
            "--tool=cachegrind",
            "--cache-sim=yes",
            f"--D1={options.l1}",
            f"--LL={options.l2}",
            f"--cachegrind-out-file={directory}/out",
        ]
        done = subprocess.run(
            [*tool, *child], env=variables, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"{case.label}, {contender}: valgrind failed: {done.stderr[-2000:]}")
    return counters_of(done.stderr)


def counters_of(summary: str) -> dict[str, int]:
    """The numbers in cachegrind's summary; SystemExit where one is missing."""
    found: dict[str, int] = {}
    for name, pattern in COUNTERS.items():
        match = re.search(pattern, summary)
        if match is None:
            raise SystemExit(f"cachegrind: expected a line like {pattern}, got {summary[-500:]}")
        found[name] = int(match[1].replace(",", ""))
    return found


def report(
    header: dict[str, Any], rows: Sequence[dict[str, Any]], options: argparse.Namespace
) -> str:
    facts = header["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    lines = [
        "# Instructions and cache misses of one call on a CPU",
        "",
        f"    {header['command']}",
        "",
        f"cachegrind, AVX2 code, one thread; caches of {options.l1} and {options.l2} (bytes, ways,"
        f" line); {versions}.",
        "",
        table(
            ["case", "contender", *COUNTERS],
            [
                [row["label"], row["contender"], *(f"{n:,}" for n in row["counts"].values())]
                for row in rows
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
