"""torch tensors and pruned modules as matrices that numpy and scipy hold.

torch is never imported: a caller who has a tensor has imported it.
"""

import sys
from importlib import import_module
from typing import Any, TypeAlias

import numpy.typing as npt

from sparsert_ir.element_types import bfloat16
from sparsert_ir.errors import MatrixError

Array: TypeAlias = npt.NDArray[Any]


def is_torch(value: object) -> bool:
    """Whether `value` is a torch tensor or module."""
    torch: Any = sys.modules.get("torch")
    tensor, nn = getattr(torch, "Tensor", None), getattr(torch, "nn", None)
    return tensor is not None and nn is not None and isinstance(value, (tensor, nn.Module))


def host_array(value: Any) -> Array:
    """A torch tensor in memory of the host as a numpy array, without a copy; bfloat16 in the type
    of ml_dtypes. Raises what torch raises for other tensors.
    """
    torch: Any = sys.modules["torch"]
    if value.dtype is not torch.bfloat16:
        return value.numpy()
    return value.view(torch.int16).numpy().view(bfloat16())


def matrix_of_torch(value: Any) -> Any:
    """The tensor, or the module's weight, as a numpy array or a scipy sparse array.

    Dense, COO, CSR, CSC, BSR and BSC layouts; any device, by a copy to the host. bfloat16 and the
    8-bit floats become float32, exactly. MatrixError for what cannot be read so.
    """
    torch: Any = sys.modules["torch"]
    try:
        weight = _weight(torch, value) if isinstance(value, torch.nn.Module) else value
        return _matrix(torch, weight.detach())
    except (RuntimeError, TypeError, NotImplementedError, ValueError, IndexError) as error:
        if isinstance(error, MatrixError):
            raise
        raise MatrixError(
            f"weight: expected a tensor that the host can read, got {type(error).__name__}: {error}"
        ) from error


def _weight(torch: Any, module: Any) -> Any:
    """What `module` multiplies by in its next forward call."""
    if not isinstance(module, torch.nn.Linear):
        raise MatrixError(
            f"weight: expected a torch.nn.Linear or a tensor, got the module"
            f" {type(module).__name__}; pass its weight as a matrix M x K"
        )
    # torch.nn.utils.prune refreshes `weight` only in forward, from these two.
    original, mask = getattr(module, "weight_orig", None), getattr(module, "weight_mask", None)
    if original is not None and mask is not None:
        return original.detach() * mask
    weight: Any = module.weight
    if not isinstance(weight, torch.Tensor):
        raise MatrixError(
            f"weight: expected a tensor, got {type(weight).__name__} in {type(module).__name__};"
            " quantized modules must be dequantized first"
        )
    return weight


def _matrix(torch: Any, tensor: Any) -> Any:
    sparse: Any = import_module("scipy.sparse")
    if tensor.layout is torch.strided:
        return _array(torch, tensor)
    shape = tuple(tensor.shape)
    if len(shape) != 2 or tensor.dense_dim() != 0:
        raise MatrixError(
            f"weight: expected a matrix (rank 2), got a sparse tensor of shape {shape} with"
            f" {tensor.dense_dim()} dense dimensions"
        )
    if tensor.layout is torch.sparse_coo:
        # Not `coalesce`, which would round where scipy's sum of duplicates need not.
        indices = tensor._indices().cpu().numpy()
        return sparse.coo_array((_array(torch, tensor._values()), tuple(indices)), shape=shape)
    values = _array(torch, tensor.values())
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        parts = values, _indices(tensor.col_indices()), _indices(tensor.crow_indices())
        kind = sparse.csr_array if tensor.layout is torch.sparse_csr else sparse.bsr_array
        return kind(parts, shape=shape)
    parts = values, _indices(tensor.row_indices()), _indices(tensor.ccol_indices())
    if tensor.layout is torch.sparse_csc:
        return sparse.csc_array(parts, shape=shape)
    # Blocks in columns are the transpose of blocks in rows.
    blocks = values.transpose(0, 2, 1), *parts[1:]
    transposed = sparse.bsr_array(blocks, shape=shape[::-1])
    return transposed.T


def _indices(tensor: Any) -> Array:
    return tensor.cpu().numpy()


def _array(torch: Any, tensor: Any) -> Array:
    exact = (torch.float16, torch.float32, torch.float64)
    if tensor.dtype.is_floating_point and tensor.dtype not in exact:
        tensor = tensor.to(torch.float32)
    return tensor.detach().cpu().resolve_conj().resolve_neg().numpy()
