"""Kernels in files: written by `Kernel.save`, run by `sparsert_ir.load` without the compiler.

A kernel is a program: load only files that you would also run. Damage and malformed files are
found before anything is used; a digest does not tell who wrote a file.
"""

from sparsert_ir.artefact.saved_kernel import SavedKernel, load_kernel_file
from sparsert_ir.artefact.writing import save_binary

__all__ = ["SavedKernel", "load_kernel_file", "save_binary"]
