"""sparsert_ir: a compiler for constant sparse matrices.

    import numpy as np
    import sparsert_ir

    kernel = sparsert_ir.compile(weight, n=196, bias=bias, activation="relu")
    y = kernel(x)

Names are imported when they are first used, so that `import sparsert_ir` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsert_ir.artefact import SavedKernel
    from sparsert_ir.artefact import load_kernel_file as load
    from sparsert_ir.compiler import compile_spmm as compile  # noqa: A004
    from sparsert_ir.convolution_compiler import compile_conv2d
    from sparsert_ir.errors import SparsertError
    from sparsert_ir.kernel import Kernel, KernelStats
    from sparsert_ir.matrix import SparseMatrix
    from sparsert_ir.matrix_files.load import load_matrix
    from sparsert_ir.schedule import Schedule
    from sparsert_ir.separable_compiler import SeparableKernel, compile_depthwise_separable

_PLACES = {
    "Kernel": "kernel:Kernel",
    "KernelStats": "kernel:KernelStats",
    "SavedKernel": "artefact:SavedKernel",
    "Schedule": "schedule:Schedule",
    "SeparableKernel": "separable_compiler:SeparableKernel",
    "SparseMatrix": "matrix:SparseMatrix",
    "SparsertError": "errors:SparsertError",
    "compile": "compiler:compile_spmm",
    "compile_conv2d": "convolution_compiler:compile_conv2d",
    "compile_depthwise_separable": "separable_compiler:compile_depthwise_separable",
    "load": "artefact:load_kernel_file",
    "load_matrix": "matrix_files.load:load_matrix",
}

__all__ = [
    "Kernel",
    "KernelStats",
    "SavedKernel",
    "Schedule",
    "SeparableKernel",
    "SparseMatrix",
    "SparsertError",
    "compile",
    "compile_conv2d",
    "compile_depthwise_separable",
    "load",
    "load_matrix",
]


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = place.split(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
