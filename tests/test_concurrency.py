"""Many threads at once compile kernels and call them, with the results of one thread alone."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from compiling import pruned

import sparsert_ir
from sparsert_ir.dense import Array

THREADS = 8
_Result = TypeVar("_Result")


def at_once(work: Callable[[int], _Result]) -> list[_Result]:
    """`work(0)` to `work(THREADS - 1)`, which all begin together."""
    barrier = threading.Barrier(THREADS)

    def begin(number: int) -> _Result:
        barrier.wait(timeout=60)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def whole(shape: tuple[int, int], seed: int) -> Array:
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)


def test_threads_compile_and_call_kernels_of_their_own() -> None:
    def work(number: int) -> bool:
        weight = np.sign(pruned(24 + number, 32, 0.2))
        kernel = sparsert_ir.compile(weight, 16 + number, target="cpu", name=f"k{number}")
        x = whole((32, 16 + number), number)
        return all(np.array_equal(kernel(x), weight @ x) for _ in range(20))

    assert at_once(work) == [True] * THREADS


def test_threads_share_a_kernel_that_none_has_built_yet() -> None:
    weight = np.sign(pruned(48, 32, 0.2))
    kernel = sparsert_ir.compile(weight, 64, target="cpu")

    def work(number: int) -> bool:
        x = whole((32, 64), number)
        return all(np.array_equal(kernel(x), weight @ x) for _ in range(50))

    assert at_once(work) == [True] * THREADS


def test_threads_write_the_same_ptx() -> None:
    weight = pruned(24, 32, 0.2)
    texts = at_once(lambda _: sparsert_ir.compile(weight, 20, target="sm_90").ptx)
    assert len(set(texts)) == 1
