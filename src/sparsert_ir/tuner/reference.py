"""The true result of a layer in float64, against which every candidate is checked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparsert_ir.element_types import ROUNDOFF, SMALLEST, numpy_type
from sparsert_ir.frontend import array_shapes

if TYPE_CHECKING:
    from sparsert_ir.frontend import Depthwise, Layer
    from sparsert_ir.matrix import SparseMatrix
    from sparsert_ir.window import Window

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Reference:
    """Inputs of one call, the true y (float64), and how far from it each element may be."""

    x: Array
    residual: Array | None
    y: Array
    bound: Array

    @classmethod
    def of(cls, layer: "Layer", seed: int = 0) -> "Reference":
        """Normally distributed x and residual, drawn from `seed`, in the layer's element type.

        The bound is that of sums rounded to the element type: 8 + 4 sqrt(longest row) roundings of
        the sum of the absolute products. Rounding errors are as often up as down.
        """
        random = np.random.default_rng(seed)
        kind = numpy_type(layer.dtype)
        x_shape, y_shape = array_shapes(layer)
        x = random.standard_normal(x_shape, np.float32).astype(kind)
        residual = None
        if layer.residual != "none":
            residual = random.standard_normal(y_shape, np.float32).astype(kind)
        return cls.for_inputs(layer, x, residual)

    @classmethod
    def for_inputs(cls, layer: "Layer", x: Array, residual: Array | None) -> "Reference":
        """The same for given inputs, in the layer's element type."""
        product, magnitude = _products(layer, x)
        y, magnitude = _epilogue(layer, product, magnitude, residual)
        roundings = 8 + 4 * np.sqrt(_longest_row(layer))
        bound = ROUNDOFF[layer.dtype] * roundings * magnitude
        return cls(x, residual, y, bound + SMALLEST[layer.dtype])

    def explain(self, y: Array) -> str:
        """What is wrong with a computed y; "" if nothing is."""
        wide = y.astype(np.float64)
        with np.errstate(invalid="ignore"):
            ratio = np.abs(wide - self.y) / self.bound
        # NaN and infinity are no further away than themselves.
        same = (wide == self.y) | (np.isnan(wide) & np.isnan(self.y))
        ratio = np.where(same, 0.0, np.nan_to_num(ratio, nan=np.inf))
        worst = np.unravel_index(int(ratio.argmax()), ratio.shape)
        if ratio[worst] <= 1:
            return ""
        place = ", ".join(str(int(index)) for index in worst)
        return (
            f"wrong result: y[{place}] = {y[worst]:.6g}, expected {self.y[worst]:.6g}"
            f" ({ratio[worst]:.3g} times the error bound)"
        )


def _longest_row(layer: "Layer") -> int:
    """Products in the longest chain of sums."""
    matrices = [layer.matrix] if layer.depthwise is None else [layer.depthwise.matrix, layer.matrix]
    return sum(int(matrix.row_lengths.max(initial=0)) for matrix in matrices)


def _products(layer: "Layer", x: Array) -> tuple[Array, Array]:
    """W @ x and abs(W) @ abs(x) in float64; with a window, of images and as images. After a
    depthwise convolution x is its result.
    """
    weight, wide = _csr(layer.matrix), x.astype(np.float64)
    if layer.window is None:
        return weight @ wide, abs(weight) @ np.abs(wide)
    window, magnitude = layer.window, np.abs(wide)
    if layer.depthwise is not None:
        first = layer.depthwise
        wide, magnitude = _through(first, wide, magnitude, window)
        window = window.result(first.matrix.shape[0])
    return _convolved(weight, wide, window), _convolved(abs(weight), magnitude, window)


def _csr(matrix: "SparseMatrix") -> Any:
    from scipy import sparse

    parts = (matrix.values.astype(np.float64), matrix.column_indices, matrix.row_offsets)
    return sparse.csr_array(parts, matrix.shape)


def _through(
    depthwise: "Depthwise", x: Array, magnitude: Array, window: "Window"
) -> tuple[Array, Array]:
    weight = _csr(depthwise.matrix)
    y, magnitude = _convolved(weight, x, window), _convolved(abs(weight), magnitude, window)
    y, magnitude = _with_bias(depthwise.bias, y, magnitude, window.channel_axis)
    return (np.maximum(y, 0) if depthwise.activation == "relu" else y), magnitude


def _convolved(weight: Any, x: Array, window: "Window") -> Array:
    """One filter position at a time: a product with all channels of a padded copy."""
    images = x if window.layout == "nchw" else x.transpose(0, 3, 1, 2)
    top, left, bottom, right = window.padding
    padded = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)))
    by_column, (height, width) = weight.tocsc(), window.output
    y = np.zeros((window.batch, weight.shape[0], height, width))
    for ty, tx in np.ndindex(window.kernel):
        (sy, sx), down, across = window.strides, ty * window.dilation[0], tx * window.dilation[1]
        seen = padded[:, :, down::sy, across::sx][:, :, :height, :width]
        first = ty * window.channels * window.kernel[1] + tx
        one: Any = by_column[:, first :: window.kernel[1]][:, : window.channels]
        for image in range(window.batch):
            product = one @ seen[image].reshape(window.channels, -1)
            y[image] += product.reshape(-1, height, width)
    return y if window.layout == "nchw" else y.transpose(0, 2, 3, 1)


def _epilogue(
    layer: "Layer", product: Array, magnitude: Array, residual: Array | None
) -> tuple[Array, Array]:
    y = product
    axis = 0 if layer.window is None else layer.window.channel_axis
    y, magnitude = _with_bias(layer.bias, y, magnitude, axis)
    if residual is not None:
        magnitude = magnitude + np.abs(residual)
    if residual is not None and layer.residual == "before":
        y = y + residual
    if layer.activation == "relu":
        y = np.maximum(y, 0)
    if residual is not None and layer.residual == "after":
        y = y + residual
    return y, magnitude


def _with_bias(bias: Array | None, y: Array, magnitude: Array, axis: int) -> tuple[Array, Array]:
    if bias is None:
        return y, magnitude
    along = bias.reshape([-1 if i == axis else 1 for i in range(y.ndim)])
    return y + along, magnitude + np.abs(along)
