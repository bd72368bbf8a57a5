"""torch itself, untyped: the package is checked and tested without it, too."""

from importlib import import_module
from typing import Any, TypeAlias

from sparsert_ir.dense import Array
from sparsert_ir.element_types import DTYPES, Dtype, DtypeLike, dtype_of
from sparsert_ir.errors import ArgumentError, MissingPackageError

try:
    torch: Any = import_module("torch")
except ModuleNotFoundError as error:
    raise MissingPackageError(
        "sparsert_ir.torch: expected the package torch, which is not installed;"
        " install sparsert_ir[torch]"
    ) from error

nn: Any = torch.nn

Tensor: TypeAlias = Any
Module: TypeAlias = Any
TENSOR_TYPES: dict[str, Any] = {
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
}


def dtype_for(weight: Tensor, dtype: "DtypeLike | None") -> Dtype:
    """`dtype`, or that of the weight; ArgumentError where no kernel has it."""
    if dtype is None and weight.dtype not in TENSOR_TYPES.values():
        raise ArgumentError(
            f"dtype: expected a weight of float32, float16 or bfloat16, got {weight.dtype};"
            f" choose with dtype, one of {', '.join(DTYPES)}"
        )
    return dtype_of(weight.dtype if dtype is None else dtype)


def dense_weight(module: Module) -> Tensor:
    """What `module` multiplies by in its next forward call: torch.nn.utils.prune refreshes
    `weight` only there.
    """
    original, mask = getattr(module, "weight_orig", None), getattr(module, "weight_mask", None)
    if original is not None and mask is not None:
        return original.detach() * mask
    return module.weight.detach()


def numpy_array(tensor: Tensor) -> Array:
    """A copy in memory of the host."""
    return tensor.detach().cpu().numpy().copy()
