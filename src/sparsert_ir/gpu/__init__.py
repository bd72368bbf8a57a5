"""What the mapping to a GPU builds kernels from, and how they are launched."""
