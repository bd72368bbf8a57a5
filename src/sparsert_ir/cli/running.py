"""Calling kernels from the command line: arrays go to the GPU and back where it is one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_SECONDS = 0.2
_FEWEST_CALLS = 5


@dataclass(frozen=True, eq=False)
class Outcome:
    """y in memory of the host; us: the shortest call (CPU), or the median of launches (GPU)."""

    y: Array
    us: float


def call(kernel: Any, x: Array, residual: Array | None, y_shape: tuple[int, ...]) -> Outcome:
    """Compute y once on an array full of NaN, then time repeated calls."""
    from sparsert_ir.progress import waiting_bar

    # The first call on a GPU assembles the kernel.
    with waiting_bar("running"):
        if kernel.target == "cpu":
            return _on_cpu(kernel, x, residual, y_shape)
        return _on_gpu(kernel, x, residual, y_shape)


def _on_cpu(kernel: Any, x: Array, residual: Array | None, y_shape: tuple[int, ...]) -> Outcome:
    y = np.full(y_shape, np.nan, x.dtype)
    kernel(x, residual, out=y)
    return Outcome(y, shortest_us(lambda: kernel(x, residual, out=y)))


def _on_gpu(kernel: Any, x: Array, residual: Array | None, y_shape: tuple[int, ...]) -> Outcome:
    from sparsert_ir.runtime.device import require_gpu
    from sparsert_ir.runtime.device_array import DeviceArray
    from sparsert_ir.runtime.streams import OwnStream
    from sparsert_ir.runtime.timing import time_launches

    gpu = require_gpu()
    stream = OwnStream(gpu)
    inputs = [None if array is None else DeviceArray.copy_of(array) for array in (x, residual)]
    y = DeviceArray.copy_of(np.full(y_shape, np.nan, x.dtype))

    def launch() -> None:
        kernel(*inputs, out=y, stream=stream.handle)

    launch()
    stream.wait()
    return Outcome(y.numpy(), time_launches(launch, stream=stream.handle).median_us)


def shortest_us(run: Callable[[], object]) -> float:
    """Microseconds of the shortest of calls in a row, for about a fifth of a second: what else runs
    on this CPU only makes them longer, those of many threads most of all.
    """
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < _FEWEST_CALLS or time.perf_counter() - begin < _SECONDS:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)
