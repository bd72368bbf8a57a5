"""`SparseLinear`, in place of a pruned `torch.nn.Linear`."""

import math
from collections.abc import Sequence

from sparsert_ir.element_types import DtypeLike
from sparsert_ir.errors import ArgumentError
from sparsert_ir.torch.framework import Module, Tensor, dense_weight, dtype_for, nn, torch
from sparsert_ir.torch.kernels import MAX_KERNELS
from sparsert_ir.torch.layer import Activation, Epilogue, SparseLayer
from sparsert_ir.torch.module import SparseModule
from sparsert_ir.torch.operators import spmm


class SparseLinear(SparseModule[SparseLayer]):
    """`y = activation(x @ weight.T + bias)` with x of shape (..., K) and y of (..., M).

    Kernels multiply K x N, N being what the leading dimensions hold together, and N contiguous. So
    x is transposed by a copy first, unless N is 1 or x is the result of another SparseLinear; and
    y is a transposed view: `reshape` works on it where `view` may not.

    A kernel is compiled on the first call with an N: for exactly that N as long as there are fewer
    than `max_kernels`, else for N rounded up to few numbers (`LayerKernels`). `n_step` rounds
    up to its multiples from the start, with columns of zeros: fewer kernels, some more work.

    x on the CPU or an NVIDIA GPU, in the layer's element type; anything else is a CallError, never
    a silent dense product. `.to()` and `.half()` change nothing: the layer has no parameters, and
    works wherever x is.
    """

    def __init__(
        self, layer: SparseLayer, *, max_kernels: int = MAX_KERNELS, n_step: int = 1
    ) -> None:
        """Use `from_linear`. Raises ArgumentError."""
        super().__init__(layer, max_kernels)
        if type(n_step) is not int or n_step < 1:
            raise ArgumentError(f"n_step: expected a whole number from 1, got {n_step!r}")
        self.out_features, self.in_features = layer.matrix.shape
        self.n_step = n_step

    @classmethod
    def from_linear(
        cls,
        module: Module,
        *,
        activation: Activation = None,
        dtype: "DtypeLike | None" = None,
        max_kernels: int = MAX_KERNELS,
        n_step: int = 1,
    ) -> "SparseLinear":
        """Of a pruned `torch.nn.Linear`, pruned by torch.nn.utils.prune or by zeros in its weight.

        activation: "relu" to have it in the kernel.
        dtype:      element type of x, y and the values; None: that of the weight.
        Raises ArgumentError or MatrixError.
        """
        if not isinstance(module, nn.Linear):
            raise ArgumentError(f"module: expected a torch.nn.Linear, got {type(module).__name__}")
        weight = dense_weight(module)
        layer = SparseLayer.of(weight, module.bias, Epilogue(activation), dtype_for(weight, dtype))
        return cls(layer, max_kernels=max_kernels, n_step=n_step)

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., M)."""
        leading = x.shape[:-1]
        columns = x.reshape(-1, self.in_features).t()
        n = columns.shape[1]
        extra = -n % self.n_step
        if extra:
            columns = torch.nn.functional.pad(columns, (0, extra))
        y = spmm(columns.contiguous(), self.key)
        if extra:
            y = y[:, :n]
        return y.t().reshape(*leading, self.out_features)

    def kernel_shape(self, shape: Sequence[int]) -> tuple[int, int]:
        """The K x N of the kernel for x of that shape."""
        n = math.prod(shape[:-1])
        return self.in_features, n + -n % self.n_step

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, {self.layer}"
