"""Operators of torch: what torch.compile and CUDA graphs see of a sparse layer.

`sparsert_ir::spmm` is a product with a matrix, `sparsert_ir::conv2d` a convolution. `layer` is the
`key` of the module that holds it.
"""

from typing import Any

from sparsert_ir.errors import CallError
from sparsert_ir.torch.framework import TENSOR_TYPES, Tensor, torch
from sparsert_ir.torch.kernels import LayerKernels, call_kernel, kernels_named


def _spmm(x: Tensor, layer: str, residual: Tensor | None = None) -> Tensor:
    """y = activation(W @ x + bias), with the residual where the layer adds one.

    x: K x N, or B x K x N for B products; returns M x N or B x M x N, row-major.
    residual: like y.
    Raises CallError for arguments of another shape or element type.
    """
    kernels = kernels_named(layer)
    y = _result(kernels, x, residual)
    if y.numel() == 0:
        return y
    arrays = [x.contiguous(), y, *([] if residual is None else [residual.contiguous()])]
    for one in [arrays] if x.dim() == 2 else zip(*arrays, strict=True):
        call_kernel(kernels, *one)
    return y


def _conv2d(x: Tensor, layer: str, residual: Tensor | None = None) -> Tensor:
    """y = activation(convolution(x) + bias), with the residual where the layer adds one.

    x: (B, I, height, width); returns (B, O, height, width), row-major. residual: like y.
    Raises CallError for arguments of another shape or element type.
    """
    kernels = kernels_named(layer)
    y = _result(kernels, x, residual)
    if y.numel():
        call_kernel(kernels, x.contiguous(), y, None if residual is None else residual.contiguous())
    return y


def _result(kernels: LayerKernels, x: Tensor, residual: Tensor | None) -> Tensor:
    """An empty y; with a fake x, a fake one."""
    wanted = TENSOR_TYPES[kernels.layer.dtype]
    for name, array in (("x", x), ("residual", residual)):
        if array is not None and array.dtype != wanted:
            raise CallError(
                f"{name}: expected {wanted}, got {array.dtype}; convert it, or make the sparse"
                " layer with another dtype"
            )
    shape = kernels.layer.result_shape(x.shape)
    _check_residual(kernels, shape, x, residual)
    return x.new_empty(shape)


def _check_residual(
    kernels: LayerKernels, shape: tuple[int, ...], x: Tensor, residual: Tensor | None
) -> None:
    is_added = kernels.layer.epilogue.residual != "none"
    if is_added != (residual is not None):
        expected = f"one of shape {tuple(shape)}, which the layer adds" if is_added else "none"
        raise CallError(f"residual: expected {expected}, got {'none' if is_added else 'one'}")
    if residual is not None and (residual.shape != shape or residual.device != x.device):
        raise CallError(
            f"residual: expected shape {tuple(shape)} on {x.device}, got {tuple(residual.shape)} on"
            f" {residual.device}"
        )


def _fake(x: Tensor, layer: str, residual: Tensor | None = None) -> Tensor:
    return _result(kernels_named(layer), x, residual)


def _no_gradient(context: Any, gradient: Tensor) -> Tensor:
    raise CallError(
        "gradient: expected none, got a backward pass; compiled sparse layers are for inference"
        " only: call the model under torch.inference_mode() or torch.no_grad()"
    )


def _operator(name: str, function: Any) -> Any:
    made = torch.library.custom_op(
        f"sparsert_ir::{name}",
        function,
        mutates_args=(),
        schema="(Tensor x, str layer, Tensor? residual=None) -> Tensor",
    )
    made.register_fake(_fake)
    made.register_autograd(_no_gradient)
    return made


spmm = _operator("spmm", _spmm)
conv2d = _operator("conv2d", _conv2d)
