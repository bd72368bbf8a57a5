"""What holds on every CUDA GPU that we compile for (CUDA C++ Programming Guide, "Compute
Capabilities"), and what differs, for the levels that must agree on it.
"""

from sparsert_ir.element_types import ELEMENT_BYTES

BLOCK_THREADS = 1024
"""Threads that a block can have."""
LARGEST_BLOCK_Z = 64
"""Of them, along its third dimension: panels of code side by side."""
WARP = 32
"""Threads that advance together."""
STATIC_SHARED_MEMORY = 48 * 1024
"""Bytes of shared memory that a kernel can declare; more is asked for at the launch."""
LARGEST_GRID_Y = 65535
"""Blocks that a grid can have in its second and third dimension."""
CLUSTER_BLOCKS = 8
"""Blocks that a cluster can have on every GPU that has clusters."""
MMA_FROM = 80
"""Compute capability (times ten) from which a warp multiplies matrices of 16 x 16 and 16 x 8."""
MMA_TILE, MMA_DEPTH = 8, 16
"""Rows and columns of the tiles that a warp loads for that; products that it adds at once."""
ASYNC_COPY_FROM = 80
"""Compute capability (times ten) from which threads copy to shared memory asynchronously."""
ASYNC_COPY_BYTES = (4, 8, 16)
"""What a thread can copy to shared memory at once, on multiples of that."""
BULK_COPY_BYTES = 16
"""Of which starts and sizes of copied rows are multiples."""
OVERLAP_FROM = 90
"""Compute capability (times ten) from which launches overlap."""
CLUSTERS_FROM = BULK_COPY_FROM = 90
"""Compute capability (times ten) from which there are clusters, and copies of whole rows."""
GLOBAL, WORKGROUP, CONSTANT, CLUSTER = 1, 3, 4, 7
"""Address spaces of NVPTX, which memrefs use too; a block's shared memory is WORKGROUP, that of any
block of its cluster CLUSTER:
https://llvm.org/docs/NVPTXUsage.html#address-spaces
"""

MIN_BLOCKS = "nvvm.minctasm"
"""Attribute of a kernel: blocks that a multiprocessor must have registers for; without it ptxas
spares registers for more than one even where shared memory has room for one only."""
INSTRUCTION_BYTES = 16
"""Of machine code, on every architecture since sm_70."""
SHARED_MEMORY = {
    70: 96, 72: 96, 75: 64, 80: 163, 86: 99, 87: 163, 89: 99, 90: 227, 100: 227,
}  # fmt: skip
"""KiB of shared memory that a block can have, by compute capability times ten (CUDA C++
Programming Guide, technical specifications per compute capability)."""


def architecture_number(architecture: str) -> int:
    """90 for "sm_90" and "sm_90a"."""
    return int(architecture.removeprefix("sm_").rstrip("af"))


def shared_memory_of(architecture: str) -> int:
    """Bytes of shared memory that a block can have."""
    return 1024 * SHARED_MEMORY[architecture_number(architecture)]


def has_tensor_cores(architecture: str, dtype: str) -> bool:
    """Whether `instruction = mma` multiplies this element type there."""
    return ELEMENT_BYTES[dtype] == 2 and architecture_number(architecture) >= MMA_FROM
