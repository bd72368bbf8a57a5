"""Pruned layers of PyTorch models as kernels (extra: torch); for inference only.

    import sparsert_ir.torch

    fast, report = sparsert_ir.torch.sparsify(model, example_inputs=(images,))
    print(report)

Importing this imports torch and registers the operator `sparsert_ir::spmm`.
"""

from sparsert_ir.torch.convolution import SparseConv2d
from sparsert_ir.torch.linear import SparseLinear
from sparsert_ir.torch.operators import spmm
from sparsert_ir.torch.prepare import prepare
from sparsert_ir.torch.report import Decision, Report
from sparsert_ir.torch.sparsify import Sparsified, sparsify

__all__ = [
    "Decision",
    "Report",
    "SparseConv2d",
    "SparseLinear",
    "Sparsified",
    "prepare",
    "sparsify",
    "spmm",
]
