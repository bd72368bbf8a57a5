"""Prune a whole network, let sparse kernels do the layers that pay, check it and time it.

    python examples/torch_network.py
    python examples/torch_network.py --network resnet-50 --size 128 --sparsity 0.95 --compile

The networks have the layers of MobileNetV1 and ResNet-50 (benchmarks/network_models.py), with
made-up weights pruned by magnitude: all convolutions but depthwise ones and the first. On this
machine's CPU, one image at a time.
"""

import argparse
import copy
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from measuring import shortest_seconds

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

torch: Any = import_module("torch")
sparse: Any = import_module("sparsert_ir.torch")
models: Any = import_module("network_models")

_TIMED_SECONDS = 1.0
_TOLERANCE = 1e-4


def largest_error(result: Any, exact: Any) -> float:
    """As a part of the largest element of `exact`."""
    return float((result.double() - exact).abs().max() / exact.abs().max())


def main() -> int:
    parser = argparse.ArgumentParser(description="A pruned network, dense and sparse")
    parser.add_argument("--network", choices=sorted(models.NETWORKS), default="mobilenet-v1")
    parser.add_argument("--size", type=int, default=224, help="height and width of the image")
    parser.add_argument("--sparsity", type=float, default=0.9, help="zeros in pruned layers")
    parser.add_argument("--compile", action="store_true", help="time torch.compile, too (minutes)")
    parser.add_argument("--threads", type=int, default=1, help="of dense and sparse layers")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    model = models.pruned_network(options.network, options.sparsity, options.size)
    image = torch.randn(1, 3, options.size, options.size)

    with torch.inference_mode():
        fast, report = sparse.sparsify(model, example_inputs=(image,), min_sparsity=0.8)
        print(report)
        exact = copy.deepcopy(model).double()(image.double())
        begin = time.perf_counter()
        kernels = sparse.prepare(fast, image)
        print(f"\n{kernels} kernels compiled in {time.perf_counter() - begin:.1f} s")

        runs = {"eager": model, "sparse": fast}
        if options.compile:
            runs |= {f"{name}, torch.compile": torch.compile(run) for name, run in runs.items()}
        threads = f"threads: {options.threads}"
        print(f"\n{'one image':24}{'ms':>8}{'largest error':>16}   ({threads})")
        is_right = True
        for name, run in runs.items():
            error = largest_error(run(image), exact)
            is_right &= error < _TOLERANCE
            seconds = shortest_seconds(lambda run=run: run(image), _TIMED_SECONDS)
            print(f"{name:24}{1e3 * seconds:8.2f}{error:16.1e}")
    verdict = "all within" if is_right else "NOT all within"
    print(f"{verdict} {_TOLERANCE} of float64")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
