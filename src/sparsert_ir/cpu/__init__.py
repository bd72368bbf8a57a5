"""What the mapping to a CPU builds kernels from, and how they are called."""
