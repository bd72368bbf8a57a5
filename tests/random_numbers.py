"""Numbers of random layers and convolutions, and what is done with the elements of a product."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.element_types import Dtype
from sparsert_ir.frontend import Layer


class Draw(Protocol):
    """An array of random numbers; `most`: the largest of whole ones."""

    def __call__(self, *shape: int, most: int = 3) -> Array: ...


def whole(random: np.random.Generator, dtype: Dtype) -> Draw:
    """So small that every partial sum of a random layer is exact, in f16 too; in bf16 of 1."""

    def draw(*shape: int, most: int = 3) -> Array:
        most = 1 if dtype == "bf16" else most
        return random.integers(-most, most + 1, shape)

    return draw


def normal(random: np.random.Generator) -> Draw:
    """Normally distributed."""

    def draw(*shape: int, most: int = 3) -> Array:
        return random.standard_normal(shape)

    return draw


Sign = Callable[[Array], Array]
"""np.positive for a result, np.abs for the sum of what is added to it."""


class Checked(ABC):
    """What has a result to compare with."""

    def expected(self) -> Array:
        """The result in float64."""
        return self.apply(np.positive)

    def magnitude(self) -> Array:
        """The result with every number replaced by its absolute value."""
        return self.apply(np.abs)

    @abstractmethod
    def apply(self, sign: Sign) -> Array:
        """The result with `sign` of every number."""


def add_bias(y: Array, bias: Array | None, axis: int, sign: Sign) -> Array:
    """y plus the bias along `axis`, in float64."""
    if bias is None:
        return y
    shape = [1] * y.ndim
    shape[axis] = -1
    return y + sign(bias.astype(np.float64)).reshape(shape)


def apply_epilogue(
    product: Array, layer: Layer, residual: Sequence[Array], axis: int, sign: Sign
) -> Array:
    """Bias, residual (one or none) and activation of the layer, in float64; rows lie along
    `axis`.
    """
    y = add_bias(product, layer.bias, axis, sign)
    if layer.residual == "before":
        y = y + residual[0]
    if layer.activation == "relu":
        y = np.maximum(y, 0)
    return y + residual[0] if layer.residual == "after" else y
