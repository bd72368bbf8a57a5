"""What the way around a kernel costs in a `SparseLinear`: on one thread of a CPU, needs torch.

    python benchmarks/torch_layers.py
    python benchmarks/torch_layers.py --shape 1536x384 --columns 1 40

A square layer in f32, beside `torch.nn.Linear` with the same weights. Contenders take turns, the
shortest call counts; the layer's result is compared with the dense one first.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from cpu_timing import times
from markdown import table
from varying_n import pruned_linear

torch: Any = import_module("torch")
sparse: Any = import_module("sparsert_ir.torch")

_COLUMNS = (1, 16, 128, 512)
_HEAD = ("N", "transposing x", "kernel", "through the operator", "`SparseLinear`", "`nn.Linear`")


def measure(linear: Any, n: int, seconds: float) -> tuple[str, ...]:
    """A row of the table: microseconds."""
    layer = sparse.SparseLinear.from_linear(linear)
    x = torch.randn(n, linear.in_features)
    difference = (layer(x) - linear(x)).abs().max() / linear(x).abs().max()
    if not float(difference) < 1e-5:
        raise SystemExit(f"N = {n}: wrong by {float(difference):.1e}")
    turned = x.t().contiguous()
    kernel = layer.kernels.serve(tuple(turned.shape), x.device).kernel
    arrays = turned.numpy(), torch.empty(linear.out_features, n).numpy()
    ways: dict[str, Callable[[], object]] = {
        "transposing": lambda: x.t().contiguous(),
        "kernel": lambda: kernel(arrays[0], None, out=arrays[1]),
        "operator": lambda: torch.ops.sparsert_ir.spmm(turned, layer.key, None),
        "layer": lambda: layer(x),
        "dense": lambda: linear(x),
    }
    if n == 1:
        # One column lies in the same order either way.
        del ways["transposing"]
    found = times(ways, seconds)
    return str(n), *(f"{found[name]:.0f}" if name in found else "-" for name in _NAMES)


_NAMES = ("transposing", "kernel", "operator", "layer", "dense")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", default="512x512", metavar="MxK")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--columns", type=int, nargs="+", default=list(_COLUMNS), metavar="N")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each N")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows, _, depth = options.shape.partition("x")
    linear = pruned_linear(int(rows), int(depth), options.sparsity)
    with torch.inference_mode():
        print(table(_HEAD, [measure(linear, n, options.seconds) for n in options.columns]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
