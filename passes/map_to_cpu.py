"""sparsert-map-to-cpu: loops over column tiles and panels compute a product on a CPU."""

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from sparsert_ir.cpu.convolution import TiledConvolution
from sparsert_ir.cpu.tiles import TiledProduct
from sparsert_ir.kernel_function import product_functions


class MapToCpu(ModulePass):
    """Turn each function `@NAME` of one `tiled_spmm` into three: `@NAME_tiles` computes the column
    tiles [first tile, last tile) of the panels [first panel, last panel); `@NAME_part` calls it,
    for threads; `@NAME` calls it for everything.

    A tile has `columns_per_thread` columns, the last one what is left. With `staging = copy` each
    tile of x is first copied to a dense buffer, which threads bring along, in the element type of
    the sums; every panel then reads the copy.

    A tile of a convolution has as many whole lines of an image as `columns_per_thread` columns
    hold, at least one; it is computed from a padded copy of what it reads (see
    `sparsert_ir.cpu.padding`), made in the buffer.

    Requires: as `sparsert-map-to-gpu`; one K group; a schedule without knobs of GPUs.
    Guarantees: memrefs instead of tensors; arguments are the inputs, y, the buffer where there is
    one, then the four bounds; lanes are as wide as tiles.
    """

    name = "sparsert-map-to-cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for product in product_functions(op, self.name):
            product.check_schedule("cpu")
            window = product.product.window
            if window is None:
                made = TiledProduct(product).functions()
            else:
                made = TiledConvolution(product, window.data).functions()
            for one in made:
                op.body.block.insert_op_before(one, product.function)
            product.function.detach()
            product.function.erase()
