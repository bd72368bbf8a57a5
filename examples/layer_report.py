"""What the examples share: compile a layer, show every stage, run it, check it, time it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from measuring import shortest_seconds

import sparsert_ir
from sparsert_ir import Kernel
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.runtime.device import find_gpu, probe_gpus, require_gpu
from sparsert_ir.runtime.device_array import DeviceArray
from sparsert_ir.runtime.streams import OwnStream
from sparsert_ir.runtime.timing import time_launches
from sparsert_ir.schedules.knobs import knobs_in_use

PTX_TARGET = "sm_90"
"""What PTX is written for where there is no GPU."""
_TIMED_SECONDS = 0.3

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class PrunedLayer:
    """`y = relu(weight @ x + bias)` with x of n columns."""

    weight: SparseMatrix
    bias: FloatArray | None
    n: int
    dtype: Literal["f32", "f16"] = "f32"

    def compile(self, target: str | None) -> Kernel:
        return sparsert_ir.compile(
            self.weight, self.n, bias=self.bias, activation="relu", dtype=self.dtype, target=target
        )


def report(layer: PrunedLayer, directory: Path) -> bool:
    """Print what compiling and running the layer gives; IR and code go to files in `directory`.

    Returns whether every element is within the bound of rounding errors.
    """
    kernel = layer.compile(None)
    _print_layer(layer, kernel)
    _print_stages(kernel)
    x = np.random.default_rng(1).standard_normal((layer.weight.shape[1], layer.n))
    x = x.astype(np.float16 if layer.dtype == "f16" else np.float32)
    y, microseconds = _run_on_cpu(kernel, x) if kernel.target == "cpu" else _run_on_gpu(kernel, x)
    is_right = _print_error(layer, x, y)
    where = "1 thread" if kernel.target == "cpu" else "GPU, median, launched from a CUDA graph"
    _print_time(layer, x, microseconds, where)
    _write_files(kernel, directory)
    if kernel.target == "cpu":
        print(f"\nno GPU here; the same layer for {PTX_TARGET}")
        for_gpu = layer.compile(PTX_TARGET)
        _print_stages(for_gpu)
        _write_files(for_gpu, directory)
    return is_right


def _print_layer(layer: PrunedLayer, kernel: Kernel) -> None:
    rows, depth = layer.weight.shape
    lengths = layer.weight.row_lengths
    zeros = 1 - layer.weight.density
    epilogue = "ReLU" if layer.bias is None else "bias and ReLU"
    print(f"layer     {rows} x {depth}, N = {layer.n}, {layer.dtype}, {epilogue}")
    print(
        f"weight    {layer.weight.nonzeros} nonzeros ({zeros:.1%} zeros),"
        f" {lengths.min()} to {lengths.max()} in a row"
        f" (coefficient of variation {lengths.std() / max(lengths.mean(), 1e-9):.2f})"
    )
    gpu = find_gpu()
    where = f"no GPU: {_first_line(probe_gpus().reason)}" if gpu is None else gpu.name
    print(f"target    {kernel.target} ({where})")


def _first_line(text: str) -> str:
    return text.partition("\n")[0].partition(" (")[0]


def _print_stages(kernel: Kernel) -> None:
    place = "cpu" if kernel.target == "cpu" else "gpu"
    used = knobs_in_use(kernel.schedule, place, kernel.compilation.layer.dtype)
    knobs = ", ".join(f"{name} = {value}" for name, value in used.items())
    print(f"schedule  {knobs}")
    stats = kernel.stats
    print(f"\n{'stage':28}{'ops':>8}{'ms':>10}")
    for stage in stats.stages:
        print(f"{stage.name:28}{stage.ops:8}{1e3 * stage.seconds:10.2f}")
    print(f"{'total':28}{'':8}{1e3 * stats.seconds:10.2f}\n")


def _run_on_cpu(kernel: Kernel, x: FloatArray) -> tuple[FloatArray, float]:
    y = kernel(x)
    return y, 1e6 * shortest_seconds(lambda: kernel(x, out=y), _TIMED_SECONDS)


def _run_on_gpu(kernel: Kernel, x: FloatArray) -> tuple[FloatArray, float]:
    rows = kernel.compilation.layer.matrix.shape[0]
    gpu = require_gpu()
    stream = OwnStream(gpu)
    on_gpu = DeviceArray.copy_of(x)
    y = DeviceArray.copy_of(np.full((rows, x.shape[1]), np.nan, x.dtype))

    def run() -> None:
        kernel(on_gpu, out=y, stream=stream.handle)

    run()
    stream.wait()
    timing = time_launches(run, stream=stream.handle)
    print(f"{kernel.stats.registers} registers, {kernel.stats.code_bytes} bytes of code\n")
    return y.numpy(), timing.median_us


def _print_error(layer: PrunedLayer, x: FloatArray, y: FloatArray) -> bool:
    """Against float64; the bound is (nonzeros of the row + 4) roundings of the sum of |w| |x|
    (N. Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1).
    """
    weight = layer.weight.to_dense().astype(np.float64)
    x = x.astype(np.float64)
    bias = np.zeros(weight.shape[0]) if layer.bias is None else layer.bias.astype(np.float64)
    exact = np.maximum(weight @ x + bias[:, np.newaxis], 0)
    magnitude = np.abs(weight) @ np.abs(x) + np.abs(bias)[:, np.newaxis]
    numbers = np.finfo(y.dtype)
    roundings = 1.1 * (layer.weight.row_lengths[:, np.newaxis] + 4)
    bound = roundings * (numbers.eps / 2 * magnitude + numbers.smallest_subnormal)
    error = np.abs(y - exact)
    row, column = np.unravel_index(int(np.argmax(error)), error.shape)
    wrong = int(np.count_nonzero(~(error <= bound)))
    verdict = "all within" if wrong == 0 else f"{wrong} of {error.size} elements outside"
    print(
        f"error     largest {error[row, column]:.3g} at row {row}, column {column}"
        f" ({y[row, column]:.7g}, float64 {exact[row, column]:.7g});"
        f" {verdict} the bound of rounding errors"
    )
    return wrong == 0


def _print_time(layer: PrunedLayer, x: FloatArray, microseconds: float, where: str) -> None:
    """Numpy multiplies in float32: it has no fast product of f16."""
    weight, x = layer.weight.to_dense().astype(np.float32), x.astype(np.float32)
    bias = np.float32(0) if layer.bias is None else layer.bias.astype(np.float32)[:, np.newaxis]
    y = np.empty((weight.shape[0], layer.n), np.float32)

    def dense() -> None:
        np.matmul(weight, x, out=y)
        np.add(y, bias, out=y)
        np.maximum(y, 0, out=y)

    dense_time = 1e6 * shortest_seconds(dense, _TIMED_SECONDS)
    print(
        f"time      {microseconds:.1f} us ({where}); dense numpy on this machine's CPU, up to"
        f" {os.cpu_count()} threads: {dense_time:.1f} us, {dense_time / microseconds:.2f} x as long"
    )


def _write_files(kernel: Kernel, directory: Path) -> None:
    place = directory / kernel.target
    place.mkdir(parents=True, exist_ok=True)
    for number, stage in enumerate(kernel.stages):
        (place / f"{number:02}-{stage}.mlir").write_text(kernel.ir(stage))
    (place / "kernel.ll").write_text(kernel.llvm_ir)
    is_host = kernel.target == "cpu"
    code = place / ("kernel.s" if is_host else "kernel.ptx")
    code.write_text(kernel.assembly if is_host else kernel.ptx)
    print(f"files     IR after each stage: {place}/*.mlir; {place}/kernel.ll; {code}")
