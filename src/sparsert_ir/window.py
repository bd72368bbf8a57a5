"""Windows: how a batch of images is read as the matrix that a convolution multiplies with.

A convolution is a product with a sparse matrix of O rows, one per output channel, and one column
for each input channel and filter position (tap). The matrix it is multiplied with has one column
for each output pixel; it is never stored, its elements are read from the images in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sparsert_ir.dense import Array
from sparsert_ir.errors import ArgumentError

Layout: TypeAlias = Literal["nchw", "nhwc"]
Pair: TypeAlias = tuple[int, int]

_LIMIT = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Window:
    """The K x N matrix of a convolution, read from a 4-D array of images.

    Row k is (ty, c, tx), tx fastest: input channel c at row ty and column tx of the filter. This
    order keeps the taps that share a condition at the border together. Column j is (b, oy, ox), ox
    fastest: an output pixel. The element is pixel (oy * strides[0] + ty * dilation[0] - top,
    ox * strides[1] + tx * dilation[1] - left) of channel c of image b, and 0 outside the image.

    batch, channels, image: sizes of the array; image is (height, width).
    kernel, strides, dilation: (vertical, horizontal), in pixels.
    padding: (top, left, bottom, right), in pixels.
    """

    batch: int
    channels: int
    image: Pair
    kernel: Pair = (1, 1)
    strides: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    layout: Layout = "nchw"

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "layout":
                _check_sizes(field.name, getattr(self, field.name))
        if self.layout not in ("nchw", "nhwc"):
            raise ArgumentError(f"window: layout must be nchw or nhwc, got {self.layout!r}")
        if min(self.output) < 1:
            raise ArgumentError(
                "window: expected a filter that fits into the padded image, got an image of"
                f" {self.image} with padding {self.padding} and a filter of {self.kernel} with"
                f" dilation {self.dilation}"
            )
        if self.depth > _LIMIT or self.columns > _LIMIT:
            raise ArgumentError(
                f"window: expected at most {_LIMIT} filter taps and output pixels, got"
                f" {self.depth} and {self.columns}"
            )

    @cached_property
    def output(self) -> Pair:
        """Height and width of the result's images."""
        (height, width), (top, left, bottom, right) = self.image, self.padding
        spans = (
            height + top + bottom - self.dilation[0] * (self.kernel[0] - 1) - 1,
            width + left + right - self.dilation[1] * (self.kernel[1] - 1) - 1,
        )
        return spans[0] // self.strides[0] + 1, spans[1] // self.strides[1] + 1

    @property
    def pixels(self) -> int:
        """Pixels of one image of the result."""
        return self.output[0] * self.output[1]

    @property
    def columns(self) -> int:
        """N: output pixels of all images."""
        return self.batch * self.pixels

    @property
    def depth(self) -> int:
        """K: channels times filter taps."""
        return self.channels * self.kernel[0] * self.kernel[1]

    @property
    def array_shape(self) -> tuple[int, int, int, int]:
        """Shape of the array of images."""
        height, width = self.image
        if self.layout == "nchw":
            return self.batch, self.channels, height, width
        return self.batch, height, width, self.channels

    @property
    def channel_axis(self) -> int:
        """Dimension of the channels."""
        return 1 if self.layout == "nchw" else 3

    @property
    def is_pointwise(self) -> bool:
        """Whether the matrix is the array itself: a 1x1 filter, no strides, no padding."""
        return self.kernel == self.strides == (1, 1) and not any(self.padding)

    def result(self, channels: int) -> "Window":
        """How the array of results, with that many channels, is read as an M x N matrix."""
        return Window(batch=self.batch, channels=channels, image=self.output, layout=self.layout)

    @property
    def element_strides(self) -> tuple[int, int, int, int]:
        """Distance between neighbouring images, channels, rows and columns, in elements."""
        height, width = self.image
        if self.layout == "nchw":
            return self.channels * height * width, height * width, width, 1
        return height * width * self.channels, 1, width * self.channels, self.channels

    @property
    def adjacent_columns(self) -> int:
        """How many columns, from each multiple of it on, are neighbours in memory in every row."""
        if not self.is_pointwise:
            return 1
        if self.batch == 1 and self.element_strides[3] == 1:
            return self.columns
        return self.pixels if self.element_strides[3] == 1 else 1

    def taps(self, rows: npt.ArrayLike) -> tuple[Array, Array, Array]:
        """Channel, filter row and filter column of rows of the matrix."""
        rest, tx = np.divmod(np.asarray(rows, np.int64), self.kernel[1])
        ty, channel = np.divmod(rest, self.channels)
        return channel, ty, tx

    def row_offsets(self, rows: npt.ArrayLike) -> Array:
        """Distance of each row's element from that of the pixel (oy * sy, ox * sx) of channel 0 in
        the same column, in elements; negative above and left of it.
        """
        channel, ty, tx = self.taps(rows)
        _, by_channel, by_row, by_column = self.element_strides
        down = ty * self.dilation[0] - self.padding[0]
        right = tx * self.dilation[1] - self.padding[1]
        return channel * by_channel + down * by_row + right * by_column

    def column_offsets(self, columns: npt.ArrayLike) -> Array:
        """Where the pixel (oy * sy, ox * sx) of channel 0 of each column lies, in elements."""
        image, oy, ox = self._output_pixels(columns)
        by_image, _, by_row, by_column = self.element_strides
        return image * by_image + oy * self.strides[0] * by_row + ox * self.strides[1] * by_column

    def inside(self, rows: npt.ArrayLike, columns: npt.ArrayLike) -> Array:
        """Which elements lie inside their image; `rows` and `columns` broadcast."""
        _, ty, tx = self.taps(rows)
        _, oy, ox = self._output_pixels(columns)
        return _within(oy, ty, self.valid_range(0)) & _within(ox, tx, self.valid_range(1))

    def valid_range(self, axis: int) -> Array:
        """For each filter position along `axis` (0: down, 1: right), the output positions [begin,
        end) at which it meets the image; shape (kernel[axis], 2).
        """
        taps = np.arange(self.kernel[axis])
        shift = taps * self.dilation[axis] - self.padding[axis]
        stride = self.strides[axis]
        begin = np.maximum(-(shift // stride), 0)
        end = np.minimum((self.image[axis] - shift + stride - 1) // stride, self.output[axis])
        return np.stack([begin, np.maximum(end, begin)], axis=1)

    def _output_pixels(self, columns: npt.ArrayLike) -> tuple[Array, Array, Array]:
        image, pixel = np.divmod(np.asarray(columns, np.int64), self.pixels)
        oy, ox = np.divmod(pixel, self.output[1])
        return image, oy, ox


def _within(outputs: Array, taps: Array, ranges: Array) -> Array:
    return (outputs >= ranges[taps, 0]) & (outputs < ranges[taps, 1])


def _check_sizes(name: str, value: int | Sequence[int]) -> None:
    lowest = 0 if name == "padding" else 1
    numbers = [value] if isinstance(value, int) else list(value)
    count = {"batch": 1, "channels": 1, "padding": 4}.get(name, 2)
    whole = all(type(number) is int and lowest <= number <= _LIMIT for number in numbers)
    if len(numbers) != count or not whole:
        raise ArgumentError(
            f"window: {name} must be {count} whole number{'s' * (count > 1)} of {lowest} or more,"
            f" got {value!r}"
        )
