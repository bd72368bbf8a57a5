"""Operators of torch: what torch.compile and CUDA graphs see of a sparse layer.

`sparsert_ir::spmm` is a product with a matrix, `sparsert_ir::conv2d` a convolution. `layer` is the
`key` of the module that holds it.
"""

from typing import Any

from sparsert_ir.errors import CallError
from sparsert_ir.torch.framework import TENSOR_TYPES, Tensor, torch
from sparsert_ir.torch.kernels import LayerKernels, call_kernel, kernels_named


def _spmm(x: Tensor, layer: str) -> Tensor:
    """y = activation(W @ x + bias).

    x: K x N, or B x K x N for B products; returns M x N or B x M x N, row-major.
    Raises CallError for an x of another shape or element type.
    """
    kernels = kernels_named(layer)
    x, y = x.contiguous(), _result(kernels, x)
    if y.numel() == 0:
        return y
    pairs = [(x, y)] if x.dim() == 2 else zip(x, y, strict=True)
    for one, result in pairs:
        call_kernel(kernels, one, result)
    return y


def _conv2d(x: Tensor, layer: str) -> Tensor:
    """y = activation(convolution(x) + bias).

    x: (B, I, height, width); returns (B, O, height, width), row-major.
    Raises CallError for an x of another shape or element type.
    """
    kernels = kernels_named(layer)
    x, y = x.contiguous(), _result(kernels, x)
    if y.numel():
        call_kernel(kernels, x, y)
    return y


def _result(kernels: LayerKernels, x: Tensor) -> Tensor:
    """An empty y; with a fake x, a fake one."""
    wanted = TENSOR_TYPES[kernels.layer.dtype]
    if x.dtype != wanted:
        raise CallError(
            f"x: expected {wanted}, got {x.dtype}; convert x, or make the sparse layer with"
            " another dtype"
        )
    return x.new_empty(kernels.layer.result_shape(x.shape))


def _fake(x: Tensor, layer: str) -> Tensor:
    return _result(kernels_named(layer), x)


def _no_gradient(context: Any, gradient: Tensor) -> Tensor:
    raise CallError(
        "gradient: expected none, got a backward pass; compiled sparse layers are for inference"
        " only: call the model under torch.inference_mode() or torch.no_grad()"
    )


def _operator(name: str, function: Any) -> Any:
    made = torch.library.custom_op(
        f"sparsert_ir::{name}", function, mutates_args=(), schema="(Tensor x, str layer) -> Tensor"
    )
    made.register_fake(_fake)
    made.register_autograd(_no_gradient)
    return made


spmm = _operator("spmm", _spmm)
conv2d = _operator("conv2d", _conv2d)
