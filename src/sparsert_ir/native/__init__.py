"""Machine code that every process of a CPU's kernels has once: calls, and threads that wait."""
