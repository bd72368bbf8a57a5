"""The products that benchmarks compute: real layers by path, and self-made ones."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sparsert_ir import SparseMatrix
from sparsert_ir.matrix_files import load_layer, load_matrix

SUITES = ("mobilenet", "dlmc", "shapes")
_RESNET_PIXELS = {"1": 3136, "2": 784, "3": 196, "4": 49}
_TRANSFORMER_COLUMNS = (128, 512, 4096)
_SEED = 20
_SHAPES = (
    (64, 64, 3136),
    (128, 512, 784),
    (256, 1024, 196),
    (512, 512, 196),
    (1024, 512, 49),
    (512, 512, 512),
    (2048, 512, 512),
    (512, 2048, 49),
    (2048, 512, 4096),
    (512, 2048, 4096),
)
UNEVENNESS = 0.42
"""Standard deviation of the nonzeros per row over their mean; as in pruned ResNet-50 at 90%."""


@dataclass(frozen=True)
class Case:
    """`matrix` (M x K) times x (K x `n`).

    suite:    "mobilenet", "resnet50", "transformer" or "shapes".
    sparsity: the share of zeros in the suite's own words: 0.9 for 90%.
    read:     gives the weight.
    """

    suite: str
    name: str
    n: int
    sparsity: float
    read: Callable[[], SparseMatrix]

    @cached_property
    def _weight(self) -> SparseMatrix:
        return self.read()

    def matrix(self, dtype: str) -> SparseMatrix:
        """The weight in "f32" or "f16"."""
        return self._weight.astype({"f32": np.float32, "f16": np.float16}[dtype])

    @property
    def label(self) -> str:
        return f"{self.suite}/{self.sparsity:g}/{self.name}/{self.n}"


def cases_of(suite: str, path: Path | None) -> list[Case]:
    """All cases of a suite; `path` is the directory of its data, where it has any."""
    if suite == "shapes":
        return list(_shapes())
    if path is None or not path.is_dir():
        raise SystemExit(f"suite {suite}: expected --path to be a directory, got {path}")
    found = list(_mobilenet(path) if suite == "mobilenet" else _dlmc(path))
    if not found:
        raise SystemExit(f"suite {suite}: expected weights under {path}, found none")
    return found


def _mobilenet(path: Path) -> Iterator[Case]:
    def numbers(file: Path) -> list[int]:
        return [int(digits) for digits in re.findall(r"\d+", file.stem)]

    for file in sorted(path.glob("*.npz"), key=numbers):
        layer = load_layer(file)
        sparsity = round(1 - layer.weight.density, 2)
        yield Case("mobilenet", file.stem, layer.n or 1, sparsity, lambda layer=layer: layer.weight)


def _dlmc(path: Path) -> Iterator[Case]:
    for file in sorted(path.glob("rn50/magnitude_pruning/*/*.smtx")):
        group = re.search(r"block_group(\d)", file.stem)
        # bottleneck_2 is the 3x3 convolution.
        if group is not None and not file.stem.startswith("bottleneck_2"):
            yield _pattern_case("resnet50", file, _RESNET_PIXELS[group[1]])
    for file in sorted(path.glob("transformer/magnitude_pruning/*/*.smtx")):
        for n in _TRANSFORMER_COLUMNS:
            yield _pattern_case("transformer", file, n)


def _pattern_case(suite: str, file: Path, n: int) -> Case:
    # The files hold no values.
    return Case(suite, file.stem, n, float(file.parent.name), lambda: load_matrix(file, seed=_SEED))


def _shapes() -> Iterator[Case]:
    for sparsity in (0.8, 0.9, 0.95):
        for rows, depth, n in _SHAPES:
            yield Case(
                "shapes",
                f"{rows}x{depth}",
                n,
                sparsity,
                lambda shape=(rows, depth), density=1 - sparsity: uneven_matrix(shape, density),
            )


def uneven_matrix(
    shape: tuple[int, int], density: float, seed: int = _SEED, unevenness: float = UNEVENNESS
) -> SparseMatrix:
    """A random matrix whose rows differ in length as those of pruned networks do.

    unevenness: sigma of the lognormal distribution of expected lengths; 0 for a uniform mask.
    """
    random = np.random.default_rng(seed)
    weights = random.lognormal(sigma=unevenness, size=shape[0])
    shares = np.minimum(weights / weights.mean() * density, 1.0)
    kept = random.random(shape) < shares[:, None]
    return SparseMatrix.of(np.where(kept, random.standard_normal(shape), 0))


def select(cases: list[Case], words: list[str], limit: int | None) -> list[Case]:
    """The cases whose label contains one of `words` (all without words), at most `limit`."""
    chosen = [case for case in cases if not words or any(word in case.label for word in words)]
    return chosen[:limit]
