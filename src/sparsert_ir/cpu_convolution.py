"""Host functions that compute a convolution on a padded copy of x."""

from collections.abc import Callable, Sequence

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import IndexType, MemRefType, UnitAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from sparsert_ir.building import Code, Values
from sparsert_ir.dense import to_dense
from sparsert_ir.dialects.sparsert import (
    ColumnTilesOp,
    FirstColumnOp,
    PanelProductOp,
    StoreColumnsOp,
)
from sparsert_ir.image_loops import ResultWriter, copy_function, copy_type
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.padding import PaddedCopy, padded_copy
from sparsert_ir.window import Window

IMAGE_KERNEL = "sparsert.image_kernel"
"""Attribute of a function that computes a range of panels for all images."""


def kernel_function(
    product: ProductFunction,
    types: Sequence[Attribute],
    one_panel: Callable[[Code, Values, SSAValue], None],
    begin_with: Callable[[Code], Values] = lambda _: [],
    end_with: Callable[[Code, Values], object] = lambda _, __: None,
) -> func.FuncOp:
    """`@name_panels(arrays, begin, end)`: a loop over panels [begin, end).

    `one_panel` gets the arrays and what `begin_with` made, which `end_with` gets in the end.
    """
    all_types = [*types, IndexType(), IndexType()]
    block = Block(arg_types=all_types)
    code = Code(block)
    *buffers, begin, end = block.args
    made = begin_with(code)

    def body(inner: Code, panel: SSAValue) -> None:
        one_panel(inner, [*made, *buffers], panel)

    code.loop(begin, end, code.index(1), body)
    end_with(code, made)
    code.do(func.ReturnOp())
    kernel = func.FuncOp(_kernel_name(product), (all_types, []), Region(block))
    kernel.attributes["sparsert.schedule"] = product.schedule_attr()
    kernel.attributes[IMAGE_KERNEL] = UnitAttr()
    return kernel


def call_kernel(code: Code, product: ProductFunction, arrays: Values) -> None:
    """Call the kernel for all panels."""
    bounds = [code.index(0), code.index(product.panel_count)]
    code.do(func.CallOp(_kernel_name(product), [*arrays, *bounds], []))


def _kernel_name(product: ProductFunction) -> str:
    return f"{product.name}_panels"


def convolution(product: ProductFunction, window: Window) -> list[Operation]:
    """Functions and tables of a convolution; the first function is the one to call."""
    copy = padded_copy(window)
    kind = copy_type(window, copy, product.element_type)
    writer = ResultWriter(product, window, copy, f"{product.name}_results")
    pad = copy_function(f"{product.name}_pad", window, copy, product.element_type)
    caller = _caller(product, kind, pad.sym_name.data)
    return [caller, *writer.tables(), pad, writer.function(), _kernel(product, writer, kind)]


def _caller(product: ProductFunction, copy: MemRefType[Attribute], pad: str) -> func.FuncOp:
    types = product.buffer_types()
    block = Block(arg_types=types)
    code = Code(block)
    x = block.args[product.position(product.product.x)]
    padded = code.insert(_allocation(copy))
    code.do(func.CallOp(pad, [x, padded], []))
    call_kernel(code, product, [padded, *_outputs(product, block.args)])
    code.do(memref.DeallocOp.get(padded))
    code.do(func.ReturnOp())
    return func.FuncOp(product.name, (types, []), Region(block))


def _allocation(kind: MemRefType[Attribute]) -> memref.AllocOp:
    return memref.AllocOp([], [], kind)


def _outputs(product: ProductFunction, arrays: Values) -> list[SSAValue]:
    """The residual, where there is one, and y."""
    residual = product.product.residual
    before = [] if residual is None else [arrays[product.position(residual)]]
    return [*before, arrays[-1]]


def _kernel(
    product: ProductFunction, writer: ResultWriter, copy: MemRefType[Attribute]
) -> func.FuncOp:
    """For each panel and image: all sums into memory of the kernel's own, then the results."""

    def one_panel(code: Code, arrays: Values, panel: SSAValue) -> None:
        sums, padded, *outputs = arrays

        def one_image(inner: Code, image: SSAValue) -> None:
            _write_sums(inner, product, writer, (sums, padded), panel, image)
            inner.do(func.CallOp(writer.name, [sums, *outputs, panel, image], []))

        code.loop(code.index(0), code.index(writer.window.batch), code.index(1), one_image)

    y_type = product.buffer_types()[-1]
    has_residual = product.product.residual is not None
    return kernel_function(
        product,
        [copy, *([y_type] * (2 if has_residual else 1))],
        one_panel,
        lambda code: [code.insert(_allocation(writer.sums_type()))],
        lambda code, made: code.do(memref.DeallocOp.get(made[0])),
    )


def _write_sums(
    code: Code,
    product: ProductFunction,
    writer: ResultWriter,
    arrays: tuple[SSAValue, SSAValue],
    panel: SSAValue,
    image: SSAValue,
) -> None:
    """The sums of one panel for all columns of one image of the copy."""
    (sums, padded), copy, op = arrays, writer.copy, product.product
    first = code.multiply(image, code.index(_image_elements(writer.window, copy)))
    tiles = code.insert(ColumnTilesOp(copy.columns, 1))

    def one_tile(inner: Code, tile: SSAValue) -> None:
        column = inner.insert(FirstColumnOp(tile, within=copy.columns))
        weight = inner.insert(product.constant.clone())
        totals = inner.do(
            PanelProductOp(
                weight,
                padded,
                inner.add(first, column),
                panel,
                inner.index(0),
                op.panels,
                op.splits,
                product.sum_type,
                product.fold,
                positions=to_dense(copy.positions, "int32"),
            )
        )
        for row, total in enumerate(totals):
            inner.do(StoreColumnsOp(total, sums, [inner.index(row), column]))

    code.loop(code.index(0), tiles, code.index(1), one_tile)


def _image_elements(window: Window, copy: PaddedCopy) -> int:
    return window.channels * copy.planes * copy.plane
