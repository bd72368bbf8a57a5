"""sparsert-stage-x: bring the rows of x that a block needs to shared memory ahead of their use."""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import PanelProductOp
from sparsert_ir.gpu.staged_product import StagedProduct
from sparsert_ir.gpu_facts import STATIC_SHARED_MEMORY


@dataclass(frozen=True)
class StageX(ModulePass):
    """Cut each `panel_product` of a `tile` into steps of `rows_per_stage` rows of x. All threads of
    the block copy a step's rows to workgroup memory, `stages` - 1 steps ahead, and every panel of
    the block multiplies them from there, going on from the sums of the step before. Rows that no
    panel of the block needs are not copied. Copies are of up to 16 bytes by all threads (staging =
    async) or of whole rows by one warp (bulk).

    shared_memory: bytes that a block can have.

    Requires: `sparsert-map-to-gpu`, `sparsert-vectorize`; the pattern not yet unrolled.
    Guarantees: no `panel_product` of a `tile` is left. Sums are added in the same order as before,
    but where f16 products are folded, what was added in f16 is folded at the end of a step, too.
    """

    name = "sparsert-stage-x"

    shared_memory: int = STATIC_SHARED_MEMORY

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for kernels in op.body.block.ops:
            if isinstance(kernels, gpu.ModuleOp):
                for kernel in [
                    one for one in kernels.body.block.ops if isinstance(one, gpu.FuncOp)
                ]:
                    self._stage(kernels, kernel)

    def _stage(self, kernels: gpu.ModuleOp, kernel: gpu.FuncOp) -> None:
        for product in [op for op in kernel.walk() if isinstance(op, PanelProductOp)]:
            if product.tile is not None:
                staged = StagedProduct.of(kernel, product, self.shared_memory, self.name)
                for table in staged.globals():
                    kernels.body.block.insert_op_before(table, kernel)
                staged.write()
