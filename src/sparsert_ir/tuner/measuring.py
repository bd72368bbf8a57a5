"""Timing a built kernel: on the GPU by CUDA graphs, on a CPU by the clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sparsert_ir.errors import DeviceError
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.tuner.reference import Reference

if TYPE_CHECKING:
    from sparsert_ir.frontend import Layer

_GRAPH_US = 300.0
_REPLAYS = 20
_HOST_SECONDS = 0.05
_FEWEST_CALLS = 3


@dataclass(frozen=True)
class Measured:
    """us: median microseconds per launch. The rest describes the binary; 0 where unknown."""

    us: float
    registers: int = 0
    spilled_bytes: int = 0
    code_bytes: int = 0


Measure: TypeAlias = Callable[[KernelBinary], Measured]
"""Checks and times a kernel; an exception marks the candidate as failed."""


class WrongResultError(DeviceError):
    """A candidate computes something else than the layer; always a defect of this package."""


def host_measure(layer: "Layer") -> Measure:
    """Check on the CPU, then time calls in a row: the median."""
    reference = Reference.of(layer)
    # numpy's arithmetic of narrow types is not used: only the kernel reads these.
    y = np.full(reference.y.shape, np.nan, reference.x.dtype)

    def measure(binary: KernelBinary) -> Measured:
        kernel = binary.load_on_cpu()
        y.fill(np.nan)
        kernel(reference.x, reference.residual, out=y)
        _require_right(reference, y)
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) < _FEWEST_CALLS or time.perf_counter() - begin < _HOST_SECONDS:
            start = time.perf_counter()
            kernel(reference.x, reference.residual, out=y)
            times.append(time.perf_counter() - start)
        return Measured(float(np.median(times)) * 1e6)

    return measure


def gpu_measure(layer: "Layer", ordinal: int | None = None) -> Measure:
    """Check on GPU `ordinal` with a y full of NaN, then replay CUDA graphs of launches.

    Raises NoDeviceError, and DeviceMemoryError where the arrays do not fit.
    """
    from sparsert_ir.runtime.device import require_gpu
    from sparsert_ir.runtime.device_array import DeviceArray
    from sparsert_ir.runtime.streams import OwnStream

    gpu = require_gpu(ordinal)
    reference = Reference.of(layer)
    stream = OwnStream(gpu)
    x = DeviceArray.copy_of(reference.x, gpu.ordinal)
    residual = None
    if reference.residual is not None:
        residual = DeviceArray.copy_of(reference.residual, gpu.ordinal)
    poison = np.full(reference.y.shape, np.nan, reference.x.dtype)
    y = DeviceArray.copy_of(poison, gpu.ordinal)

    def measure(binary: KernelBinary) -> Measured:
        from sparsert_ir.runtime.timing import time_launches

        kernel = binary.load_on_gpu(gpu.ordinal)
        loaded = kernel.kernel
        try:
            y.write(poison)
            kernel(x, residual, out=y, stream=stream.handle)
            stream.wait()
            _require_right(reference, y.numpy())
            guess = 2.0 + layer.matrix.nonzeros * layer.columns / (gpu.multiprocessors * 2e5)
            timing = time_launches(
                lambda: kernel(x, residual, out=y, stream=stream.handle),
                repeats=max(4, min(100, round(_GRAPH_US / guess))),
                replays=_REPLAYS,
                ordinal=gpu.ordinal,
                stream=stream.handle,
            )
            return Measured(
                timing.median_us, loaded.registers, loaded.spilled_bytes, loaded.code_bytes
            )
        finally:
            loaded.unload()

    return measure


def _require_right(reference: Reference, y: Any) -> None:
    wrong = reference.explain(y)
    if wrong:
        raise WrongResultError(wrong)
