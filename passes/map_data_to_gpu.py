"""sparsert-map-data-to-gpu: the matrix becomes a stream of data that the warps of a grid read."""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.passes import ModulePass

from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu.stream_kernel import StreamKernelBuilder
from sparsert_ir.gpu_facts import STATIC_SHARED_MEMORY
from sparsert_ir.kernel_function import product_functions


@dataclass(frozen=True)
class MapDataToGpu(ModulePass):
    """Turn each function of one `tiled_spmm` into a kernel that streams the packed matrix, and its
    launch; the packed arrays are constants of the module that the launch passes to the kernel.

    Each warp computes one panel, or `panels_per_warp` of them in turn, for a tile of column groups
    x columns per thread. A slice of x is staged in shared memory of at most `shared-memory` bytes
    (default: 49152, which every GPU has). With `instruction = fma` lanes gather from it and add in
    f32; those that share a row and a column group add up their sums by shuffles, in a fixed order.
    With `instruction = mma` tensor cores multiply and add in f32. With a window (a convolution)
    the slice is gathered from the images, 0 where an element lies outside.

    Requires: a fused epilogue (`sparsert-fuse-epilogue`), `sparsert-partition`; one K group;
    functions whose body is one product.
    Guarantees: memrefs instead of tensors; the kernel's arguments are the function's, then the
    packed arrays; the code does not grow with the matrix (that of a
    convolution does with the slices of its window).
    """

    name = "sparsert-map-data-to-gpu"

    shared_memory: int = STATIC_SHARED_MEMORY

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for product in product_functions(op, self.name):
            if product.depthwise is not None:
                raise ScheduleError(
                    "schedule: expected lowering = code for a depthwise and a pointwise convolution"
                    " in one kernel, got data"
                )
            builder = StreamKernelBuilder.of(product, self.shared_memory)
            kernels = builder.build()
            block = op.body.block
            for table in builder.constants():
                block.insert_op_before(table, product.function)
            block.insert_op_before(builder.launcher(kernels.sym_name.data), product.function)
            block.insert_op_after(kernels, product.function)
            product.function.detach()
            product.function.erase()
            op.attributes["gpu.container_module"] = UnitAttr()
