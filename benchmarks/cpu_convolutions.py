"""Convolutions on a CPU: ours, and torch's dense ones, in both of its layouts."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convolution_cases import ConvolutionCase, resnet50_cases
from cpu_timing import Contenders, aligned, check, times, torch_with

PEERS = ("torch", "torch channels last")
_SPARSITIES = (0.9, 0.95)


def convolution_cases(filters: Path | None) -> Iterator[ConvolutionCase]:
    """ResNet-50's 3x3 layers, one image; real filters from a directory where it is given."""
    yield from resnet50_cases([1], _SPARSITIES, filters)


def measure_convolution(case: ConvolutionCase, threads: int, seconds: float) -> dict[str, Any]:
    """Times of one case, every contender with so many threads."""
    import sparsert_ir
    from sparsert_ir.tuner.reference import Reference

    begin = time.perf_counter()
    kernel = sparsert_ir.compile_conv2d(
        case.weight,
        case.input_shape,
        stride=case.stride,
        padding=case.padding,
        target="cpu",
        threads=threads,
    )
    compile_seconds = time.perf_counter() - begin
    true = Reference.of(kernel.compilation.layer)
    x, y = aligned(true.x), aligned(np.full(true.y.shape, np.nan))
    contenders = {"ours": lambda: kernel(x, out=y), **_peers(case, x, threads)}
    check(contenders, true.y, true.bound)
    return {
        "label": case.label,
        "suite": "convolutions",
        "sparsity": round(case.sparsity, 2),
        "shape": [*case.weight.shape, *case.input_shape],
        "nonzeros": int(np.count_nonzero(case.weight)),
        "threads": threads,
        "schedule": f"{kernel.schedule.columns_per_thread} columns",
        "compile_seconds": round(compile_seconds, 3),
        "us": {name: round(us, 2) for name, us in times(contenders, seconds).items()},
    }


def _peers(case: ConvolutionCase, x: Any, threads: int) -> Contenders:
    torch = torch_with(threads)
    if torch is None:
        return {}
    found: Contenders = {}
    for name, layout in zip(PEERS, (torch.contiguous_format, torch.channels_last), strict=True):
        weight, image = (
            torch.from_numpy(one).contiguous(memory_format=layout) for one in (case.weight, x)
        )

        def compute(weight: Any = weight, image: Any = image) -> Any:
            with torch.inference_mode():
                return torch.nn.functional.conv2d(
                    image, weight, stride=case.stride, padding=case.padding
                )

        found[name] = compute
    return found
