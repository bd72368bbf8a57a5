"""What the cost models know of a convolution."""

from dataclasses import dataclass

from sparsert_ir.frontend import Layer
from sparsert_ir.window import Window


@dataclass(frozen=True)
class FilterFacts:
    """A filter. rows: output channels."""

    rows: int
    nonzeros: int


@dataclass(frozen=True)
class ConvolutionFacts:
    """What the models must know of a convolution.

    rows:      output channels.
    dtype:     of x and y.
    depthwise: the convolution with that window whose result is multiplied with the matrix in the
               same kernel; None: the window is the matrix's own.
    """

    window: Window
    rows: int
    nonzeros: int
    dtype: str = "f32"
    depthwise: FilterFacts | None = None

    @classmethod
    def of(cls, layer: Layer) -> "ConvolutionFacts":
        """Of a layer with a window."""
        assert layer.window is not None
        depthwise = None
        if layer.depthwise is not None:
            matrix = layer.depthwise.matrix
            depthwise = FilterFacts(matrix.shape[0], matrix.nonzeros)
        matrix = layer.matrix
        return cls(layer.window, matrix.shape[0], matrix.nonzeros, layer.dtype, depthwise)

    def halves(self) -> "tuple[ConvolutionFacts, ConvolutionFacts]":
        """The depthwise and the pointwise convolution as two."""
        assert self.depthwise is not None
        first = ConvolutionFacts(
            self.window, self.depthwise.rows, self.depthwise.nonzeros, self.dtype
        )
        between = self.window.result(self.depthwise.rows)
        return first, ConvolutionFacts(between, self.rows, self.nonzeros, self.dtype)
