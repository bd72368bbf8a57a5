"""Sparse products and convolutions on a CPU against what users have instead, on one thread and on
more.

    python benchmarks/cpu.py --path DIRECTORY_OF_MOBILENET --filters DIRECTORY_OF_FILTERS

Writes OUTPUT.md and OUTPUT.json. For every number of threads a process of its own starts, in which
all libraries have that many (SciPy's product has one thread only). Every result is checked against
float64 before it is timed; contenders take turns, and the shortest of all calls counts. Results are
written into arrays that exist, where a library can do so. torch is a peer where it is installed.

A process does not see OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE, which would slow numpy down; which
kernels OpenBLAS chose is in the report, where threadpoolctl is installed.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cases import select
from cpu_convolutions import convolution_cases, measure_convolution
from cpu_products import measure_product, product_cases
from cpu_report import report, summary
from results import replace_text

PARTS = ("products", "convolutions")
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
_HIDDEN_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_CHILD, _OPENBLAS = "SPARSERT_BENCHMARK_THREADS", "openblas"
_PACKAGES = ("sparsert_ir", "llvmlite", "numpy", "scipy", "torch")


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parse(given)
    if os.environ.get(_CHILD) == _OPENBLAS:
        print(openblas_kernels_here())
        return 0
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
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--path", type=Path, help="directory of the mobilenet weights; else left out"
    )
    parser.add_argument(
        "--filters", type=Path, help="directory of 3x3 filters; only random ones without"
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
    variables = dict.fromkeys(_THREAD_VARIABLES, str(threads)) | {_CHILD: str(threads)}
    command = [sys.executable, __file__, *given]
    with subprocess.Popen(
        command, env=seen_by_libraries() | variables, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            row = json.loads(line)
            print(summary(row), flush=True)
            yield row
    if child.returncode:
        raise SystemExit(f"the process with {threads} threads ended with {child.returncode}")


def seen_by_libraries() -> dict[str, str]:
    """The environment variables of the processes that measure, but for the number of threads."""
    return {name: text for name, text in os.environ.items() if name not in _HIDDEN_VARIABLES}


def measure_all(options: argparse.Namespace, threads: int) -> Iterator[dict[str, Any]]:
    if "products" in options.parts:
        for case in select(list(product_cases(options.path)), options.only, None):
            yield measure_product(case, threads, options.seconds)
    if "convolutions" in options.parts:
        for case in convolution_cases(options.filters):
            if not options.only or any(word in case.label for word in options.only):
                yield measure_convolution(case, threads, options.seconds)


def openblas_kernels() -> str:
    """Those that OpenBLAS chooses in the processes that measure, which is not what it chose here
    where a variable that they do not see is set.
    """
    return subprocess.run(
        [sys.executable, __file__],
        env=seen_by_libraries() | {_CHILD: _OPENBLAS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


def openblas_kernels_here() -> str:
    if find_spec("threadpoolctl") is None:
        return "unknown"
    import_module("numpy")
    pools: Any = import_module("threadpoolctl").threadpool_info()
    return ", ".join(
        sorted({str(pool["architecture"]) for pool in pools if "architecture" in pool})
    )


def machine() -> dict[str, Any]:
    from sparsert_ir.cpu.host_threads import available_cores
    from sparsert_ir.emit.host import host_description

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
        "openblas": openblas_kernels(),
    }


def processor() -> str:
    """The model's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    sys.exit(main())
