"""What contenders on a CPU are given, checked by and timed by."""

import math
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

Compute: TypeAlias = Callable[[], Any]
Contenders: TypeAlias = dict[str, Compute]


def aligned(numbers: Any) -> Any:
    """The numbers in f32 on cache lines, as torch allocates, and as kernels return results."""
    from sparsert_ir.cpu.host_kernel import aligned_empty

    array = aligned_empty(numbers.shape, "float32")
    array[...] = numbers
    return array


def torch_with(threads: int) -> Any:
    """torch with so many threads; None where it is not installed."""
    if find_spec("torch") is None:
        return None
    torch: Any = import_module("torch")
    torch.set_num_threads(threads)
    return torch


def check(contenders: Contenders, expected: Any, bound: Any) -> None:
    """Every contender once; SystemExit where a result is further from float64 than `bound`."""
    for name, compute in contenders.items():
        error = np.abs(np.asarray(compute()) - expected)
        if not (error <= bound).all():
            raise SystemExit(f"{name}: expected errors within the bound, got a wrong result")


def times(contenders: Contenders, seconds: float) -> dict[str, float]:
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
