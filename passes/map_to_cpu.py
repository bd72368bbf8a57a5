"""sparsert-map-to-cpu: loops over panels and column tiles compute a product on a CPU."""

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import IndexType, ModuleOp, UnitAttr
from xdsl.ir import Block, Region, SSAValue
from xdsl.passes import ModulePass

from sparsert_ir.building import Code, Values
from sparsert_ir.dialects.sparsert import (
    ColumnTilesOp,
    FirstColumnOp,
    PanelProductOp,
    WritePanelOp,
)
from sparsert_ir.kernel_function import ProductFunction, product_functions

KERNEL = "sparsert.kernel"


class MapToCpu(ModulePass):
    """Turn each function of one `tiled_spmm` into a kernel function that computes the panels
    [begin, end) for all columns, and a function that calls it for all panels.

    A lane that would reach past the last column is moved back to end there; the columns it shares
    with its neighbour are computed twice. Threads take ranges of panels.

    Requires: as `sparsert-map-to-gpu`; no K groups.
    Guarantees: memrefs instead of tensors, y the last one before `begin` and `end`; every lane one
    column wide.
    """

    name = "sparsert-map-to-cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for product in product_functions(op, self.name):
            kernel = _kernel(product)
            caller = _caller(product, kernel)
            block = op.body.block
            block.insert_op_after(kernel, product.function)
            block.insert_op_before(caller, product.function)
            product.function.detach()
            product.function.erase()


def _kernel(product: ProductFunction) -> func.FuncOp:
    types = [*product.buffer_types(), IndexType(), IndexType()]
    block = Block(arg_types=types)
    code = Code(block)
    *buffers, begin, end = block.args
    zero, one = code.index(0), code.index(1)
    tiles = code.insert(ColumnTilesOp(product.columns, 1))

    def one_panel(outer: Code, panel: SSAValue) -> None:
        def one_tile(inner: Code, tile: SSAValue) -> None:
            column = inner.insert(FirstColumnOp(tile, within=product.columns))
            _write_tile(inner, product, buffers, panel, column, zero)

        outer.loop(zero, tiles, one, one_tile)

    code.loop(begin, end, one, one_panel)
    code.do(func.ReturnOp())
    kernel = func.FuncOp(f"{product.name}_panels", (types, []), Region(block))
    kernel.attributes["sparsert.schedule"] = product.schedule_attr()
    kernel.attributes[KERNEL] = UnitAttr()
    return kernel


def _write_tile(
    code: Code,
    product: ProductFunction,
    buffers: Values,
    panel: SSAValue,
    column: SSAValue,
    group: SSAValue,
) -> None:
    op = product.product
    weight = code.insert(product.constant.clone())
    x = buffers[product.position(op.x)]
    lane = product.sum_type
    sums = code.do(
        PanelProductOp(weight, x, column, panel, group, op.panels, op.splits, lane, product.fold)
    )
    residual = None if op.residual is None else buffers[product.position(op.residual)]
    code.do(
        WritePanelOp(
            sums,
            buffers[-1],
            column,
            panel,
            op.panels,
            bias=product.bias(),
            activation=op.activation,
            residual=residual,
            residual_after_activation=op.residual_after_activation,
        )
    )


def _caller(product: ProductFunction, kernel: func.FuncOp) -> func.FuncOp:
    types = product.buffer_types()
    block = Block(arg_types=types)
    code = Code(block)
    bounds = [code.index(0), code.index(product.panel_count)]
    code.do(func.CallOp(kernel.sym_name.data, [*block.args, *bounds], []))
    code.do(func.ReturnOp())
    return func.FuncOp(product.name, (types, []), Region(block))
