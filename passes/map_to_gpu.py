"""sparsert-map-to-gpu: a grid of thread blocks computes the panels of a product."""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.passes import ModulePass

from sparsert_ir.gpu.code_kernel import CodeKernelBuilder
from sparsert_ir.gpu_facts import STATIC_SHARED_MEMORY
from sparsert_ir.kernel_function import product_functions


@dataclass(frozen=True)
class MapToGpu(ModulePass):
    """Turn each function of one `tiled_spmm` into a kernel in a `gpu.module` and its launch.

    A block has threads x K groups x panels; a thread computes one column of one panel over one K
    group. With K groups the partial sums meet in workgroup memory, and the threads of the block
    share the rows of the panel to add them up in order, apply the epilogue and store.

    The blocks of a cluster lie along z and share the K groups of the same panels. Each adds up its
    own groups and sends every row's sum to the block that finishes the row, which adds up what it
    got in the order of the blocks.

    A depthwise convolution before the product is computed for the block's columns, all channels,
    dealt to its threads, and left in workgroup memory, from which the product reads.

    All that takes at most `shared-memory` bytes of a block's memory (default: 49152, which every
    GPU has).

    Requires: a fused epilogue (`sparsert-fuse-epilogue`), `sparsert-partition` and, for K groups
    and clusters, `sparsert-split-k`; functions whose body is one product.
    Guarantees: memrefs instead of tensors, y the last one; every lane one column wide.
    """

    name = "sparsert-map-to-gpu"

    shared_memory: int = STATIC_SHARED_MEMORY

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for product in product_functions(op, self.name):
            builder = CodeKernelBuilder.of(product, self.shared_memory)
            kernels = builder.build()
            block = op.body.block
            block.insert_op_before(builder.launcher(kernels.sym_name.data), product.function)
            block.insert_op_after(kernels, product.function)
            product.function.detach()
            product.function.erase()
            op.attributes["gpu.container_module"] = UnitAttr()
