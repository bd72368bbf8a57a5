"""What it costs that N varies: a kernel for each N, or for a few N, rounded up.

    python benchmarks/varying_n.py
    python benchmarks/varying_n.py --device cuda --dtype f16 --columns 1 16 77 300

Times one `SparseLinear` per call: with a kernel for just that N, and as beyond `max_kernels`, where
the columns are rounded up (`rounded_columns`) and x and y are copied. A kernel for each N pays from
as many calls with that N as its compile time is worth. On a CPU the shortest of repeated calls, one
thread; on a GPU medians of CUDA graph replays.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from markdown import table

torch: Any = import_module("torch")
sparse: Any = import_module("sparsert_ir.torch")
costs: Any = import_module("sparsert_ir.torch.costs")
layers: Any = import_module("sparsert_ir.torch.layer")

_SHAPES = ((384, 384), (1536, 384), (384, 1536), (2048, 512))
"""M x K: the layers of a small transformer, and of ResNet-50."""
_COLUMNS = (1, 11, 40, 100, 200, 333, 500, 1500)
_HEAD = (
    "M x K",
    "N",
    "rounded up",
    "compile s",
    "own us",
    "rounded us",
    "ratio",
    "pays from calls",
)


@dataclass(frozen=True)
class Result:
    """Of one layer and N. compile_seconds: of the kernel for just this N."""

    shape: tuple[int, int]
    n: int
    compile_seconds: float
    own_us: float
    rounded_us: float

    @property
    def calls(self) -> float | None:
        """From which on a kernel of its own pays; None: never."""
        saved = self.rounded_us - self.own_us
        return 1e6 * self.compile_seconds / saved if saved > 0 else None

    @property
    def cells(self) -> tuple[str, ...]:
        """Of its row in the table."""
        return (
            f"{self.shape[0]} x {self.shape[1]}",
            str(self.n),
            str(layers.rounded_columns(self.n)),
            f"{self.compile_seconds:.2f}",
            f"{self.own_us:.1f}",
            f"{self.rounded_us:.1f}",
            f"{self.rounded_us / self.own_us:.2f}",
            "never" if self.calls is None else f"{self.calls:,.0f}",
        )


def pruned_linear(rows: int, depth: int, sparsity: float) -> Any:
    """Random weights, the smallest set to 0."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(depth, rows)
    weight = linear.weight.data
    weight[weight.abs() <= weight.abs().flatten().quantile(sparsity)] = 0
    return linear


def measure(linear: Any, n: int, device: str, dtype: str) -> Result:
    """Both ways, each checked against the dense layer first."""
    x = torch.randn(n, linear.in_features)
    expected = linear(x)
    x = x.to(device, layers_dtype(dtype))
    own = sparse.SparseLinear.from_linear(linear, dtype=dtype)
    begin = time.perf_counter()
    sparse.prepare(own, x)
    seconds = time.perf_counter() - begin
    rounding = sparse.SparseLinear.from_linear(linear, dtype=dtype, max_kernels=1)
    # Its only kernel of its own is for another N.
    rounding(x.new_zeros(1 if n > 1 else 2, linear.in_features))
    for layer in (own, rounding):
        error = (layer(x).float().cpu() - expected).abs().max() / expected.abs().max()
        if not float(error) < (1e-5 if dtype == "f32" else 2e-2):
            raise SystemExit(f"N = {n}: wrong by {float(error):.1e}")
    own_us, rounded_us = (time_us(layer, x) for layer in (own, rounding))
    return Result((linear.out_features, linear.in_features), n, seconds, own_us, rounded_us)


def layers_dtype(dtype: str) -> Any:
    """torch's name."""
    return torch.float16 if dtype == "f16" else torch.float32


def time_us(layer: Any, x: Any) -> float:
    """Of one call."""
    if x.device.type == "cuda":
        timing: Any = import_module("sparsert_ir.runtime.timing")
        return timing.time_launches(lambda: layer(x), ordinal=x.device.index or 0).median_us
    return costs.shortest_us(lambda: layer(x))


def main() -> int:
    parser = argparse.ArgumentParser(description="What it costs that N varies")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="f32", choices=["f32", "f16"])
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--columns", type=int, nargs="+", default=list(_COLUMNS), metavar="N")
    parser.add_argument("--shapes", nargs="+", default=[f"{m}x{k}" for m, k in _SHAPES])
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[tuple[str, ...]] = []
    with torch.inference_mode():
        # The first compilation imports the compiler, which must not count.
        measure(pruned_linear(8, 8, 0.5), 1, options.device, options.dtype)
        for shape in options.shapes:
            m, _, k = shape.partition("x")
            linear = pruned_linear(int(m), int(k), options.sparsity)
            rows += [
                measure(linear, n, options.device, options.dtype).cells for n in options.columns
            ]
    print(table(_HEAD, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
