"""Compile a pruned convolution, run it, and check it against the definition.

    python examples/conv2d.py
    python examples/conv2d.py FILTER.npz --target cpu

FILTER.npz holds `weight` (O, I, height, width) and `image`, the side of the square images; without
it a filter is made up: 32 x 32 x 3 x 3, 90% zeros, images of 14 x 14.
"""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import sparsert_ir

FloatArray = npt.NDArray[np.float32]


def made_up_filter() -> tuple[FloatArray, int]:
    random = np.random.default_rng(0)
    weight = random.standard_normal((32, 32, 3, 3)) * (random.random((32, 32, 3, 3)) < 0.1)
    return weight.astype(np.float32), 14


def stored_filter(path: Path) -> tuple[FloatArray, int]:
    with np.load(path, allow_pickle=False) as arrays:
        return np.asarray(arrays["weight"], np.float32), int(arrays["image"])


def definition(
    weight: FloatArray, x: FloatArray, bias: FloatArray
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """relu(convolution + bias) with the images padded to keep their size, in float64; and a bound
    of the rounding errors of sums in f32.
    """
    height, width = weight.shape[2:]
    edges = ((0, 0), (0, 0), (height // 2, height // 2), (width // 2, width // 2))
    padded = np.pad(x.astype(np.float64), edges)
    y = np.zeros((1, weight.shape[0], *x.shape[2:]))
    magnitude = np.zeros_like(y)
    for ty, tx in np.ndindex(height, width):
        seen = padded[:, :, ty : ty + x.shape[2], tx : tx + x.shape[3]]
        y += np.einsum("oi,bihw->bohw", weight[:, :, ty, tx], seen)
        magnitude += np.einsum("oi,bihw->bohw", abs(weight[:, :, ty, tx]), abs(seen))
    column = bias.astype(np.float64)[:, np.newaxis, np.newaxis]
    length = weight[0].size
    return np.maximum(y + column, 0), length * 2.0**-24 * (magnitude + abs(column))


def compute(kernel: sparsert_ir.Kernel, x: FloatArray) -> FloatArray:
    """The result, in memory of the host; on a GPU through torch."""
    if kernel.target == "cpu":
        return kernel(x)
    torch: Any = import_module("torch")
    return kernel(torch.from_numpy(x).cuda()).cpu().numpy()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("filter", nargs="?", type=Path)
    parser.add_argument("--target", help='"cpu", or the GPU present where left out')
    options = parser.parse_args()
    try:
        weight, side = stored_filter(options.filter) if options.filter else made_up_filter()
    except (OSError, ValueError, KeyError) as error:
        parser.error(f"{options.filter}: {error}")
    random = np.random.default_rng(1)
    x = random.standard_normal((1, weight.shape[1], side, side)).astype(np.float32)
    bias = np.asarray(random.standard_normal(weight.shape[0]), np.float32)

    begin = time.perf_counter()
    kernel = sparsert_ir.compile_conv2d(
        weight,
        x.shape,
        padding=(weight.shape[2] // 2, weight.shape[3] // 2),
        bias=bias,
        activation="relu",
        target=options.target,
    )
    zeros = 1 - np.count_nonzero(weight) / weight.size
    print(f"{' x '.join(map(str, weight.shape))}, {100 * zeros:.1f}% zeros, images of {side}")
    print(f"compiled for {kernel.target} in {time.perf_counter() - begin:.2f} s")

    expected, bound = definition(weight, x, bias)
    error = np.abs(compute(kernel, x) - expected)
    is_right = bool((error <= bound).all())
    verdict = "all within" if is_right else "NOT within"
    print(f"largest error {error.max():.2g}: {verdict} the bound of rounding errors")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
