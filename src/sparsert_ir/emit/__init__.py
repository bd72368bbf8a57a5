"""From the llvm and nvvm dialects to LLVM IR text, PTX and machine code."""
