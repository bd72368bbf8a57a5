"""The convolutions of a benchmark: ResNet-50's 3x3 layers, with real filters where given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Filter = npt.NDArray[np.float32]

RESNET50 = ((64, 56, 1), (128, 28, 1), (256, 14, 1), (512, 7, 1))
"""Channels, side of the image, stride of the 3x3 layers that keep their size."""
RESNET50_STRIDED = ((128, 56, 2), (256, 28, 2), (512, 14, 2))


@dataclass(frozen=True, eq=False)
class ConvolutionCase:
    """A padded convolution on square images; weight is (O, I, height, width)."""

    name: str
    weight: Filter
    side: int
    stride: int
    batch: int
    sparsity: float

    @property
    def label(self) -> str:
        stride = f" stride {self.stride}" if self.stride > 1 else ""
        return f"{self.name}@{self.side}{stride} x{self.batch} {100 * self.sparsity:.0f}%"

    @property
    def padding(self) -> int:
        return self.weight.shape[2] // 2

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.weight.shape[1], self.side, self.side


def resnet50_cases(
    batches: Sequence[int], sparsities: Sequence[float], directory: Path | None
) -> Iterator[ConvolutionCase]:
    """Random filters of exactly that sparsity, then the real ones of `directory` (*.npz with
    `weight` and the side of the image, `image`).
    """
    for batch in batches:
        for sparsity in sparsities:
            for channels, side, stride in (*RESNET50, *RESNET50_STRIDED):
                weight = random_filter(channels, sparsity)
                yield ConvolutionCase(str(channels), weight, side, stride, batch, sparsity)
        for path in sorted(directory.glob("*.npz")) if directory else []:
            yield stored_case(path, batch)


def random_filter(channels: int, sparsity: float) -> Filter:
    """channels x channels x 3 x 3, pruned at random."""
    random = np.random.default_rng(channels)
    weight = random.standard_normal((channels, channels, 3, 3)).astype(np.float32)
    pruned = random.permutation(weight.size)[: round(sparsity * weight.size)]
    weight.reshape(-1)[pruned] = 0
    return weight


def stored_case(path: Path, batch: int) -> ConvolutionCase:
    """A filter from a file; ValueError for one without the two arrays."""
    with np.load(path, allow_pickle=False) as arrays:
        if not {"weight", "image"} <= set(arrays.files):
            raise ValueError(f"{path}: expected arrays weight and image, got {arrays.files}")
        weight, side = np.asarray(arrays["weight"], np.float32), int(arrays["image"])
    sparsity = 1 - np.count_nonzero(weight) / weight.size
    return ConvolutionCase(path.stem, weight, side, 1, batch, sparsity)
