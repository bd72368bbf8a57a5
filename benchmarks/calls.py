"""What a call costs its caller, beside calls of other libraries that do next to nothing.

    python benchmarks/calls.py
    python benchmarks/calls.py --device cuda

On a CPU: the shortest call on one thread. On a GPU: the host's part, by the clock of the host, of
launches one after another that nobody waits for, f32 (torch in full f32, not TF32); shortest of
rounds of `--calls`. The product is 64 x 64, so its own time does not count on a GPU; on a CPU the
matrix has one nonzero and x one column.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

import sparsert_ir
from cpu_timing import times
from markdown import table

_SIZE = 64
_ROUNDS = 20


def on_cpu(seconds: float) -> dict[str, float]:
    """Microseconds of each call."""
    sparse: Any = import_module("scipy.sparse")
    weight = np.zeros((1, 4), np.float32)
    weight[0, 0] = 2
    kernel = sparsert_ir.compile(weight, 1, target="cpu", threads=1).load()
    x, y = np.ones((4, 1), np.float32), np.empty((1, 1), np.float32)
    csr = sparse.csr_array(weight)
    return times(
        {
            "kernel(x, out=y)": lambda: kernel(x, None, out=y),
            "kernel(x)": lambda: kernel(x),
            "numpy.matmul(weight, x, out=y)": lambda: np.matmul(weight, x, out=y),
            "scipy CSR @ x": lambda: csr @ x,
        },
        seconds,
    )


def on_gpu(calls: int) -> dict[str, float]:
    """Microseconds of the host for each call."""
    torch: Any = import_module("torch")
    torch.backends.cuda.matmul.allow_tf32 = False
    random = np.random.default_rng(0)
    weight = random.standard_normal((_SIZE, _SIZE)) * (random.random((_SIZE, _SIZE)) < 0.1)
    kernel = sparsert_ir.compile(weight, _SIZE).load()
    x = torch.randn(_SIZE, _SIZE, device="cuda")
    dense = torch.tensor(weight, device="cuda", dtype=torch.float32)
    y = torch.empty_like(x)
    ways: dict[str, Callable[[], object]] = {
        "kernel(x, out=y)": lambda: kernel(x, out=y),
        "kernel(x)": lambda: kernel(x),
        "torch.add(x, x, out=y)": lambda: torch.add(x, x, out=y),
        "torch.mm(weight, x, out=y)": lambda: torch.mm(dense, x, out=y),
    }
    return {name: _host_us(call, calls, torch.cuda.synchronize) for name, call in ways.items()}


def _host_us(call: Callable[[], object], calls: int, wait: Callable[[], object]) -> float:
    """Each round begins with an idle GPU, so that no launch waits for room in its queue."""
    rounds: list[float] = []
    for _ in range(_ROUNDS):
        wait()
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.append(time.perf_counter() - begin)
    wait()
    return 1e6 * min(rounds) / calls


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seconds", type=float, default=2.0, help="of all calls on a CPU")
    parser.add_argument("--calls", type=int, default=200, help="in a round on a GPU")
    options = parser.parse_args(arguments)
    found = on_gpu(options.calls) if options.device == "cuda" else on_cpu(options.seconds)
    print(table(("call", "us"), [(f"`{name}`", f"{us:.2f}") for name, us in found.items()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
