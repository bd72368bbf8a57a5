"""Sparse times dense on a CPU against what users have instead, on one thread and on more.

    python benchmarks/cpu.py --path DIRECTORY_OF_MOBILENET --output benchmarks/results/cpu

Writes OUTPUT.md and OUTPUT.json. For every number of threads a process of its own starts, in which
all libraries have that many (SciPy's product has one thread only). Every product is checked against
float64 before it is timed; contenders take turns, and the shortest of all calls counts. Results are
written into arrays that exist, where a library can do so. torch is a peer where it is installed.

A process does not see OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE, which would slow numpy down; which
kernels OpenBLAS chose is in the report, where threadpoolctl is installed.
"""

import argparse
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from cases import Case, cases_of, select
from results import replace_text

PEERS = ("numpy", "torch", "torch CSR", "scipy CSR")
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
_HIDDEN_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_CHILD = "SPARSERT_BENCHMARK_THREADS"
_PACKAGES = ("sparsert_ir", "llvmlite", "numpy", "scipy", "torch")


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parse(given)
    if _CHILD in os.environ:
        for row in measure_all(options, int(os.environ[_CHILD])):
            print(json.dumps(row), flush=True)
        return 0
    rows = [row for threads in options.threads for row in in_process(given, threads)]
    if not rows:
        raise SystemExit("expected a case, got none: see --path and --only")
    header = {
        "command": shlex.join(["python", "benchmarks/cpu.py", *map(last_name, given)]),
        "machine": machine(),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with_suffix = options.output.with_name
    name = options.output.name
    replace_text(with_suffix(name + ".json"), json.dumps({**header, "rows": rows}, indent=1) + "\n")
    replace_text(with_suffix(name + ".md"), report(header, rows))
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--path", type=Path, help="directory of the mobilenet weights; else left out"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=0.5, help="per case and number of threads")
    parser.add_argument("--only", nargs="*", default=[], help="parts of labels to keep")
    parser.add_argument("--output", type=Path, default=Path("cpu"), help="without a suffix")
    return parser.parse_args(arguments)


def last_name(word: str) -> str:
    """Directories of the machine are nobody's business."""
    return Path(word).name if os.path.isabs(word) else word


def in_process(given: Sequence[str], threads: int) -> Iterator[dict[str, Any]]:
    """The rows of one number of threads; libraries read it when they are loaded."""
    variables = {k: v for k, v in os.environ.items() if k not in _HIDDEN_VARIABLES}
    variables |= dict.fromkeys(_THREAD_VARIABLES, str(threads)) | {_CHILD: str(threads)}
    command = [sys.executable, __file__, *given]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            row = json.loads(line)
            print(summary(row), flush=True)
            yield row
    if child.returncode:
        raise SystemExit(f"the process with {threads} threads ended with {child.returncode}")


def summary(row: dict[str, Any]) -> str:
    ratios = " ".join(
        f"{peer} {row['us'][peer] / row['us']['ours']:.1f}x" for peer in peers_of(row)
    )
    return f"{row['threads']} {row['label']}: {row['us']['ours']:.0f} us, {ratios}"


def measure_all(options: argparse.Namespace, threads: int) -> Iterator[dict[str, Any]]:
    cases = [] if options.path is None else cases_of("mobilenet", options.path)
    for case in select([*cases, *cases_of("shapes", None)], options.only, None):
        yield measure(case, threads, options.seconds)


def measure(case: Case, threads: int, seconds: float) -> dict[str, Any]:
    import sparsert_ir

    matrix = case.matrix("f32")
    x = aligned(np.random.default_rng(0).standard_normal((matrix.shape[1], case.n)))
    begin = time.perf_counter()
    kernel = sparsert_ir.compile(matrix, case.n, target="cpu", threads=threads)
    compile_seconds = time.perf_counter() - begin
    y = aligned(np.full((matrix.shape[0], case.n), np.nan))
    contenders = {"ours": lambda: kernel(x, out=y), **peers(matrix, x, threads)}
    check(contenders, matrix, x)
    return {
        "label": case.label,
        "suite": case.suite,
        "sparsity": case.sparsity,
        "shape": [*matrix.shape, case.n],
        "nonzeros": matrix.nonzeros,
        "threads": threads,
        "schedule": f"{kernel.schedule.columns_per_thread} columns, {kernel.schedule.staging}",
        "compile_seconds": round(compile_seconds, 3),
        "openblas": openblas_kernels(),
        "us": {name: round(us, 2) for name, us in times(contenders, seconds).items()},
    }


def aligned(numbers: Any) -> Any:
    """The numbers in f32 on cache lines, as torch allocates, and as kernels return results."""
    from sparsert_ir.host_kernel import aligned_empty

    array = aligned_empty(numbers.shape, "float32")
    array[...] = numbers
    return array


def peers(matrix: Any, x: Any, threads: int) -> dict[str, Callable[[], Any]]:
    from scipy import sparse

    dense = aligned(matrix.to_dense())
    result = aligned(np.zeros((dense.shape[0], x.shape[1])))
    csr = sparse.csr_array(dense)
    found: dict[str, Callable[[], Any]] = {
        "numpy": lambda: np.matmul(dense, x, out=result),
        "scipy CSR": lambda: csr @ x,
    }
    if find_spec("torch") is not None:
        torch: Any = import_module("torch")
        torch.set_num_threads(threads)
        torch_weight, torch_x, torch_y = map(torch.from_numpy, (dense, x, result))
        with warnings.catch_warnings(action="ignore"):  # It calls itself a beta.
            torch_csr = torch_weight.to_sparse_csr()
        found["torch"] = lambda: torch.mm(torch_weight, torch_x, out=torch_y)
        found["torch CSR"] = lambda: torch_csr @ torch_x
    return found


def check(contenders: dict[str, Callable[[], Any]], matrix: Any, x: Any) -> None:
    """The bound grows with the root of a row's length: errors are as often up as down."""
    dense, wide = matrix.to_dense().astype(np.float64), x.astype(np.float64)
    expected, magnitude = dense @ wide, np.abs(dense) @ np.abs(wide)
    bound = 2.0**-24 * (8 + 4 * math.sqrt(matrix.shape[1])) * magnitude + 1e-30
    for name, compute in contenders.items():
        error = np.abs(np.asarray(compute()) - expected)
        if not (error <= bound).all():
            raise SystemExit(f"{name}: expected errors within the bound, got a wrong product")


def times(contenders: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Microseconds of the shortest call; the contenders take turns, in bursts that warm up."""
    shortest = dict.fromkeys(contenders, math.inf)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, compute in contenders.items():
            compute()
            burst = time.perf_counter() + seconds / 50
            while True:
                begin = time.perf_counter()
                compute()
                now = time.perf_counter()
                shortest[name] = min(shortest[name], (now - begin) * 1e6)
                if now > burst:
                    break
    return shortest


def openblas_kernels() -> str:
    if find_spec("threadpoolctl") is None:
        return "unknown"
    pools: Any = import_module("threadpoolctl").threadpool_info()
    return ", ".join(
        sorted({str(pool["architecture"]) for pool in pools if "architecture" in pool})
    )


def machine() -> dict[str, Any]:
    from sparsert_ir.emit.host import host_description
    from sparsert_ir.host_threads import available_cores

    versions: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": processor(),
        "llvm_name": host_description()[0],
        "cores": available_cores(),
        "python": platform.python_version(),
        "versions": versions,
    }


def processor() -> str:
    """The model's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def report(header: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    versions = ", ".join(
        f"{name} {number}" for name, number in header["machine"]["versions"].items()
    )
    facts = header["machine"]
    lines = [
        "# Sparse times dense on a CPU",
        "",
        f"    {header['command']}",
        "",
        f"{facts['processor']} ({facts['llvm_name']}), {facts['cores']} cores; {versions};"
        f" OpenBLAS runs its {rows[0]['openblas']} kernels.",
        "f32, shortest call in us, arrays on cache lines. SciPy's product has one thread always.",
        "A ratio is a peer's time over ours: above 1 we are faster.",
        "",
        "## Geometric means of the ratios",
        "",
        *means(rows),
    ]
    for threads in sorted({row["threads"] for row in rows}):
        lines += ["", f"## {threads} thread{'s' * (threads > 1)}", "", *table(rows, threads)]
    return "\n".join(lines) + "\n"


def means(rows: list[dict[str, Any]]) -> Iterator[str]:
    names = peers_of(rows[0])
    yield f"| threads | suite | sparsity | cases | {' | '.join(names)} |"
    yield "|---" * (4 + len(names)) + "|"
    keys = sorted({(row["threads"], row["suite"], row["sparsity"]) for row in rows})
    for key in [*keys, *sorted({(t, "all", s) for t, _, s in keys})]:
        chosen = [row for row in rows if is_of(row, key)]
        ratios = (geometric_mean([r["us"][n] / r["us"]["ours"] for r in chosen]) for n in names)
        cells = " | ".join(f"{ratio:.2f}x" for ratio in ratios)
        yield f"| {key[0]} | {key[1]} | {key[2]:.0%} | {len(chosen)} | {cells} |"


def is_of(row: dict[str, Any], key: tuple[int, str, float]) -> bool:
    threads, suite, sparsity = key
    same = row["threads"] == threads and row["sparsity"] == sparsity
    return same and suite in ("all", row["suite"])


def table(rows: list[dict[str, Any]], threads: int) -> Iterator[str]:
    names = peers_of(rows[0])
    yield f"| case | nonzeros | ours | {' | '.join(names)} | schedule | compile s |"
    yield "|---" * (5 + len(names)) + "|"
    for row in rows:
        if row["threads"] == threads:
            ours = row["us"]["ours"]
            peer = " | ".join(f"{row['us'][n]:.0f} ({row['us'][n] / ours:.1f}x)" for n in names)
            yield (
                f"| {row['label']} | {row['nonzeros']} | {ours:.0f} | {peer} | {row['schedule']} |"
                f" {row['compile_seconds']:.2f} |"
            )


def peers_of(row: dict[str, Any]) -> list[str]:
    return [name for name in PEERS if name in row["us"]]


def geometric_mean(numbers: list[float]) -> float:
    return math.exp(sum(map(math.log, numbers)) / len(numbers))


if __name__ == "__main__":
    sys.exit(main())
