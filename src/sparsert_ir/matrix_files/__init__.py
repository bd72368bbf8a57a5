"""Matrix files: `load_matrix`, `load_filter`, `load_layer`, and one module per format behind them.

Files are untrusted: nothing is allocated from a header before the file's size is checked, nothing
is unpickled, and what cannot be read is a MatrixError.
"""

from sparsert_ir.matrix_files.load import (
    LayerFile,
    load_bias,
    load_columns,
    load_filter,
    load_layer,
    load_matrix,
)
from sparsert_ir.matrix_files.smtx import PatternOnlyWarning
from sparsert_ir.matrix_files.source import FileLimits

__all__ = [
    "FileLimits",
    "LayerFile",
    "PatternOnlyWarning",
    "load_bias",
    "load_columns",
    "load_filter",
    "load_layer",
    "load_matrix",
]
