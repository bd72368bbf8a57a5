"""How long matrices take to compile, by stage: from numpy to PTX, or to this CPU's instructions, in
this process, no GPU needed.

    python benchmarks/compile_time.py [--ptxas] [--repeats 3] [--target sm_90]
    python benchmarks/compile_time.py --target cpu

The patterns are random with 10% nonzeros in square matrices, the values distinct; N = 196, bias and
ReLU, f32, every matrix with the schedule that the cost model chooses for the third one, so that
sizes compare. Each time is the shortest of the repeats, after one matrix to warm imports up.
--ptxas adds the time of NVIDIA's assembler at its default level, which users' drivers contain.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from math import sqrt
from pathlib import Path

import numpy as np

import sparsert_ir
from sparsert_ir import Kernel, Schedule, SparseMatrix
from sparsert_ir.schedules.default import default_cpu_schedule, default_gpu_schedule

NONZEROS = (1_638, 6_554, 26_214, 104_858, 209_715)
COLUMNS = 196
DENSITY = 0.1
GPU_SECONDS_LIMIT, CPU_SECONDS_LIMIT = 2.5, 1.5
"""For the third matrix, which is as large as layer 6 of a pruned MobileNet."""
GROWTH_LIMIT = 1.3
"""Of the cost per nonzero from the first matrix to the last."""
_MUCH_CODE = 2**40
_THIRD = (512, 512), COLUMNS, "f32"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 1 where a limit is missed."""
    options = parse(arguments)
    on_cpu = options.target == "cpu"
    schedule = (default_cpu_schedule if on_cpu else default_gpu_schedule)(*_THIRD)
    compile_random(256, options.target, schedule)
    kernels = [fastest(count, options, schedule) for count in options.nonzeros]
    stages = [record.name for record in kernels[0].stats.stages]
    print(row("ms", [f"{count:,}" for count in options.nonzeros]))
    for number, name in enumerate(stages):
        times = [1e3 * kernel.stats.stages[number].seconds for kernel in kernels]
        print(row(name.removeprefix("sparsert-"), [f"{value:.1f}" for value in times]))
    totals = [kernel.stats.seconds for kernel in kernels]
    print(row("total", [f"{1e3 * value:.1f}" for value in totals]))
    costs = [total / count * 1e6 for total, count in zip(totals, options.nonzeros, strict=True)]
    print(row("us per nonzero", [f"{cost:.1f}" for cost in costs]))
    if options.ptxas:
        assembled = [ptxas_seconds(kernel.ptx, options.target) for kernel in kernels]
        print(row("ptxas", [f"{1e3 * value:.0f}" for value in assembled]))
    limit = CPU_SECONDS_LIMIT if on_cpu else GPU_SECONDS_LIMIT
    return verdict(dict(zip(options.nonzeros, totals, strict=True)), costs, limit)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time the stages of compilation.")
    parser.add_argument("--nonzeros", type=int, nargs="+", default=list(NONZEROS))
    parser.add_argument("--repeats", type=int, default=3, help="of which the fastest counts")
    parser.add_argument("--target", default="sm_90", help="architecture of the PTX, or cpu")
    parser.add_argument("--ptxas", action="store_true", help="time NVIDIA's assembler, too")
    options = parser.parse_args(arguments)
    if options.ptxas and options.target == "cpu":
        parser.error("--ptxas: expected an architecture, got --target cpu")
    return options


def row(name: str, cells: Sequence[str]) -> str:
    return f"{name:18}" + "".join(f"{cell:>11}" for cell in cells)


def fastest(nonzeros: int, options: argparse.Namespace, schedule: Schedule) -> Kernel:
    kernels = [compile_random(nonzeros, options.target, schedule) for _ in range(options.repeats)]
    return min(kernels, key=lambda kernel: kernel.stats.seconds)


def compile_random(nonzeros: int, target: str, schedule: Schedule) -> Kernel:
    weight = random_matrix(nonzeros)
    return sparsert_ir.compile(
        weight,
        COLUMNS,
        bias=np.ones(weight.shape[0]),
        activation="relu",
        target=target,
        schedule=schedule,
        code_budget=_MUCH_CODE,
    )


def random_matrix(nonzeros: int) -> SparseMatrix:
    """Square, about 10% nonzeros at random places, exactly as many as asked for."""
    random = np.random.default_rng(nonzeros)
    size = round(sqrt(nonzeros / DENSITY))
    weight = np.zeros(size * size, np.float32)
    weight[random.permutation(size * size)[:nonzeros]] = random.standard_normal(nonzeros)
    return SparseMatrix.of(weight.reshape(size, size))


def ptxas_seconds(ptx: str, target: str) -> float:
    """Raises FileNotFoundError where the package nvidia-cuda-nvcc is not installed."""
    spec = find_spec("nvidia")
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    programs = [path for place in places for path in sorted(Path(place).glob("*/bin/ptxas"))]
    if not programs:
        raise FileNotFoundError("no ptxas: install the test extra (nvidia-cuda-nvcc)")
    with tempfile.TemporaryDirectory() as directory:
        source, output = Path(directory, "kernel.ptx"), str(Path(directory, "kernel.cubin"))
        source.write_text(ptx)
        begin = time.perf_counter()
        subprocess.run([str(programs[0]), "-arch", target, "-o", output, str(source)], check=True)
        return time.perf_counter() - begin


def verdict(totals: dict[int, float], costs: Sequence[float], limit: float) -> int:
    """Print how the times stand to the limits; limits only hold for matrices that were timed."""
    growth = costs[-1] / costs[0]
    kept = growth < GROWTH_LIMIT
    print(f"\ngrowth of the cost per nonzero: {growth:.2f} (limit {GROWTH_LIMIT})")
    if NONZEROS[2] in totals:
        seconds = totals[NONZEROS[2]]
        kept = kept and seconds < limit
        print(f"{NONZEROS[2]:,} nonzeros: {seconds:.2f} s (limit {limit} s)")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
