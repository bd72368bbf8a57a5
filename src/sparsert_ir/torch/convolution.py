"""`SparseConv2d`, in place of a pruned `torch.nn.Conv2d`."""

from collections.abc import Sequence
from typing import Literal

from sparsert_ir.element_types import Dtype, DtypeLike
from sparsert_ir.errors import ArgumentError, CallError
from sparsert_ir.torch.filters import FilterLayer, Geometry
from sparsert_ir.torch.framework import Module, Tensor, dense_weight, dtype_for, nn
from sparsert_ir.torch.kernels import MAX_KERNELS
from sparsert_ir.torch.layer import Activation, Epilogue, SparseLayer, residual_place
from sparsert_ir.torch.module import SparseModule
from sparsert_ir.torch.operators import conv2d, spmm


class SparseConv2d(SparseModule["SparseLayer | FilterLayer"]):
    """`y = activation(convolution(x) + bias)` with x of shape (B, I, height, width) or without B;
    `y = activation(convolution(x) + bias + residual)`, or `activation(...) + residual`, for one
    that was made with a residual: `layer(x, residual)`.

    A 1x1 filter without padding and groups is a product with each image as it lies, I x pixels
    (with strides: of the pixels that are used, copied together); B images are B launches. Every
    other filter is compiled for whole batches. x in NCHW is read in place, "channels last" is
    copied.

    What `SparseLinear` says of kernels, devices and element types holds here, too; a kernel belongs
    to one shape of x.
    """

    def __init__(
        self,
        layer: "SparseLayer | FilterLayer",
        geometry: Geometry,
        *,
        max_kernels: int = MAX_KERNELS,
    ) -> None:
        """Use `from_conv`. Raises ArgumentError."""
        super().__init__(layer, max_kernels)
        self.stride = geometry.stride
        self.is_product = isinstance(layer, SparseLayer)

    @classmethod
    def from_conv(
        cls,
        module: Module,
        *,
        activation: Activation = None,
        residual: bool | Literal["before", "after"] = False,
        dtype: "DtypeLike | None" = None,
        max_kernels: int = MAX_KERNELS,
    ) -> "SparseConv2d":
        """Of a pruned `torch.nn.Conv2d`; arguments as of `SparseLinear.from_linear`.

        residual: True or "before": calls take a second tensor that is added before the activation;
                  "after": after it.
        Raises ArgumentError or MatrixError.
        """
        if not isinstance(module, nn.Conv2d):
            raise ArgumentError(f"module: expected a torch.nn.Conv2d, got {type(module).__name__}")
        weight = dense_weight(module)
        epilogue = Epilogue(activation, residual_place(residual))
        return cls.of(weight, module, module.bias, epilogue, dtype_for(weight, dtype), max_kernels)

    @classmethod
    def of(
        cls,
        weight: Tensor,
        module: Module,
        bias: Tensor | None,
        epilogue: Epilogue,
        dtype: Dtype,
        max_kernels: int = MAX_KERNELS,
    ) -> "SparseConv2d":
        """As `from_conv`, with another weight and bias than the module's."""
        geometry = Geometry.of(module)
        if is_product(module):
            layer = SparseLayer.of(weight.flatten(1), bias, epilogue, dtype)
        else:
            layer = FilterLayer.of(weight, geometry, bias, epilogue, dtype)
        return cls(layer, geometry, max_kernels=max_kernels)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(B, I, height, width) -> (B, O, height', width'), or both without B.

        residual: what can be broadcast to the shape of the result.
        """
        if x.dim() == 3:
            return self.forward(x.unsqueeze(0), residual).squeeze(0)
        if x.dim() != 4:
            raise CallError(f"x: expected shape (B, I, height, width), got {tuple(x.shape)}")
        if not self.is_product:
            if residual is not None:
                residual = broadcast(residual, self.layer.result_shape(x.shape))
            return conv2d(x, self.key, residual)
        if self.stride != (1, 1):
            x = x[:, :, :: self.stride[0], :: self.stride[1]]
        if residual is not None:
            shape = (x.shape[0], self.layer.matrix.shape[0], *x.shape[2:])
            residual = broadcast(residual, shape).flatten(2)
        return spmm(x.flatten(2), self.key, residual).unflatten(2, x.shape[2:])

    def kernel_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """What the kernel for x of that shape reads: I x pixels, or whole images."""
        batch = tuple(shape) if len(shape) == 4 else (1, *shape)
        if not self.is_product:
            return batch
        height, width = (
            -(-size // stride) for size, stride in zip(batch[2:], self.stride, strict=True)
        )
        return batch[1], height * width

    def extra_repr(self) -> str:
        rows, depth = self.layer.matrix.shape
        return f"{rows} x {depth}, stride={self.stride}, {self.layer}"


def broadcast(residual: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A view of `residual` with that shape; CallError where there is none."""
    missing = len(shape) - residual.dim()
    sizes = (*[1] * missing, *residual.shape)
    if missing < 0 or any(
        size not in (1, wanted) for size, wanted in zip(sizes, shape, strict=True)
    ):
        raise CallError(
            f"residual: expected shape {shape}, or one that broadcasts to it, got"
            f" {tuple(residual.shape)}"
        )
    return residual.expand(shape)


def is_product(module: Module) -> bool:
    """Whether a `torch.nn.Conv2d` is a product of its filter with each image."""
    geometry = Geometry.of(module)
    return tuple(module.kernel_size) == (1, 1) and geometry.is_unpadded and geometry.groups == 1
