"""Filters of convolutions apart from the size of the images."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sparsert_ir.convolution import filter_matrix
from sparsert_ir.convolution_compiler import compile_conv2d
from sparsert_ir.dense import Array
from sparsert_ir.element_types import Dtype, numpy_type
from sparsert_ir.errors import ArgumentError, CallError
from sparsert_ir.kernel import Kernel
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.torch.framework import Module, Tensor, numpy_array
from sparsert_ir.torch.layer import Epilogue, describe
from sparsert_ir.window import Pair, Window


@dataclass(frozen=True)
class Geometry:
    """How a filter moves over the images; padding is (top, left, bottom, right), in pixels."""

    stride: Pair
    padding: tuple[int, int, int, int]
    dilation: Pair
    groups: int

    @classmethod
    def of(cls, module: Module) -> "Geometry":
        """Of a `torch.nn.Conv2d`. ArgumentError for one that pads with anything but zeros."""
        if module.padding_mode != "zeros":
            raise ArgumentError(
                f'padding_mode: expected "zeros", got {module.padding_mode!r}; pad x with'
                " torch.nn.functional.pad before a convolution without padding"
            )
        return cls(module.stride, _padding(module), module.dilation, module.groups)

    @property
    def is_unpadded(self) -> bool:
        return not any(self.padding)


def _padding(module: Module) -> tuple[int, int, int, int]:
    if module.padding == "valid":
        return (0, 0, 0, 0)
    if module.padding == "same":
        # Where the total is odd, torch puts the larger part below and on the right.
        totals = [
            span * (size - 1)
            for span, size in zip(module.dilation, module.kernel_size, strict=True)
        ]
        top, left = totals[0] // 2, totals[1] // 2
        return (top, left, totals[0] - top, totals[1] - left)
    vertical, horizontal = module.padding
    return (vertical, horizontal, vertical, horizontal)


@dataclass(frozen=True, eq=False)
class FilterLayer:
    """`y = activation(convolution(x, weight) + bias [+ residual]) [+ residual]`, x and y in NCHW.

    weight: (O, I / groups, height, width). bias: O numbers, or None.
    """

    weight: Array
    geometry: Geometry
    bias: Array | None
    epilogue: Epilogue
    dtype: Dtype

    @classmethod
    def of(
        cls,
        weight: Tensor,
        geometry: Geometry,
        bias: Tensor | None,
        epilogue: Epilogue,
        dtype: Dtype,
    ) -> "FilterLayer":
        """Tensors on any device. Raises MatrixError for a filter that cannot be compiled."""
        numbers = None if bias is None else numpy_array(bias.float())
        made = cls(numpy_array(weight.float()), geometry, numbers, epilogue, dtype)
        _ = made.matrix
        return made

    @cached_property
    def matrix(self) -> SparseMatrix:
        """O x (I * height * width)."""
        element = numpy_type(self.dtype)
        return filter_matrix(self.weight, self.geometry.groups, element)[0]

    @property
    def nonzeros(self) -> int:
        """Of the matrix."""
        return self.matrix.nonzeros

    def __str__(self) -> str:
        return describe(self.matrix, self.bias, self.epilogue, self.dtype)

    @property
    def digest(self) -> str:
        """The same for the same layer, in every process."""
        head = (self.weight.shape, self.geometry, self.dtype, self.epilogue, self.bias is None)
        hashed = hashlib.sha256(repr(head).encode())
        for array in (self.weight, self.bias):
            if array is not None:
                hashed.update(array.tobytes())
        return hashed.hexdigest()[:32]

    def result_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Of y, for x of shape (B, I, height, width). CallError for another one."""
        channels = self.weight.shape[1] * self.geometry.groups
        if len(shape) != 4 or shape[1] != channels:
            raise CallError(
                f"conv2d: x: expected shape (B, {channels}, height, width), got {tuple(shape)}"
            )
        top, left, bottom, right = self.geometry.padding
        sizes = (shape[2] + top + bottom, shape[3] + left + right)
        down, across = (
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, dilation, kernel, stride in zip(
                sizes,
                self.geometry.dilation,
                self.weight.shape[2:],
                self.geometry.stride,
                strict=True,
            )
        )
        return (shape[0], self.weight.shape[0], down, across)

    def rounded(self, shape: tuple[int, ...]) -> None:
        """Images cannot have pixels added."""

    def window(self, shape: Sequence[int]) -> Window:
        """How x of shape (B, I, height, width) is read."""
        return Window(
            batch=shape[0],
            channels=shape[1],
            image=(shape[2], shape[3]),
            kernel=(self.weight.shape[2], self.weight.shape[3]),
            strides=self.geometry.stride,
            padding=self.geometry.padding,
            dilation=self.geometry.dilation,
        )

    def compile(self, shape: tuple[int, ...], target: str, threads: int | None = None) -> Kernel:
        """The kernel for x of that shape; errors as of `sparsert_ir.compile_conv2d`."""
        geometry = self.geometry
        return compile_conv2d(
            self.weight,
            shape,
            stride=geometry.stride,
            padding=geometry.padding,
            dilation=geometry.dilation,
            groups=geometry.groups,
            bias=self.bias,
            activation=self.epilogue.activation,
            residual=self.epilogue.residual_option,
            dtype=self.dtype,
            target=target,
            threads=threads,
        )
