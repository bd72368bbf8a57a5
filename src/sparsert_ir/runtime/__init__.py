"""Running compiled kernels on a GPU: devices, loading, the disk cache, launches, timing.

Nothing here needs a GPU, a driver or the CUDA packages to be imported.
"""
