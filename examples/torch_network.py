"""Prune a whole network, let sparse kernels do the layers that pay, check it and time it.

    python examples/torch_network.py
    python examples/torch_network.py --size 128 --sparsity 0.95 --compile

The network has the layers of MobileNetV1 (A. Howard et al., "MobileNets", 2017) with made-up
weights; the 1x1 convolutions are pruned by magnitude. On this machine's CPU, one image at a time.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

torch: Any = import_module("torch")
nn: Any = torch.nn
sparse: Any = import_module("sparsert_ir.torch")

STAGES = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2))
"""(Output channels, stride) of each pair of a depthwise and a 1x1 convolution but the last."""
_TIMED_SECONDS = 1.0
_TOLERANCE = 1e-4


def convolution(inputs: int, outputs: int, size: int, stride: int, groups: int = 1) -> list[Any]:
    """With batch norm and ReLU."""
    padding = size // 2
    layer = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


def mobilenet() -> Any:
    """3 x size x size -> 1000."""
    layers, channels = convolution(3, 32, 3, 2), 32
    for outputs, stride in (*STAGES, (1024, 1)):
        layers += convolution(channels, channels, 3, stride, groups=channels)
        layers += convolution(channels, outputs, 1, 1)
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def prune(model: Any, sparsity: float) -> None:
    """Zero the smallest weights of each 1x1 convolution."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            weight = module.weight.data
            smallest = weight.abs().flatten().kthvalue(round(sparsity * weight.numel())).values
            weight[weight.abs() <= smallest] = 0


def settle(model: Any, images: Any) -> None:
    """Give batch norm the statistics of some images, as training would."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(images)
    model.eval()


def milliseconds(run: Callable[[], Any]) -> float:
    """The shortest of repeated runs: what else runs here only makes them longer."""
    run()
    times: list[float] = []
    end = time.perf_counter() + _TIMED_SECONDS
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return 1e3 * min(times)


def largest_error(result: Any, exact: Any) -> float:
    """As a part of the largest element of `exact`."""
    return float((result.double() - exact).abs().max() / exact.abs().max())


def main() -> int:
    parser = argparse.ArgumentParser(description="A pruned MobileNetV1, dense and sparse")
    parser.add_argument("--size", type=int, default=224, help="height and width of the image")
    parser.add_argument("--sparsity", type=float, default=0.9, help="zeros in 1x1 convolutions")
    parser.add_argument("--compile", action="store_true", help="time torch.compile, too (minutes)")
    parser.add_argument("--threads", type=int, default=1, help="of dense and sparse layers")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = mobilenet()
    prune(model, options.sparsity)
    settle(model, torch.randn(16, 3, options.size, options.size))
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
            print(f"{name:24}{milliseconds(lambda run=run: run(image)):8.2f}{error:16.1e}")
    verdict = "all within" if is_right else "NOT all within"
    print(f"{verdict} {_TOLERANCE} of float64")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
