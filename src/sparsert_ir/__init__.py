"""sparsert_ir: a compiler for constant sparse matrices."""
