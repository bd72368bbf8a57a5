"""The functions through which a CPU kernel of tiles and panels is called."""

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import IndexType, MemRefType, UnitAttr
from xdsl.ir import Attribute, Block, Region, SSAValue

from sparsert_ir.building import Code, Values
from sparsert_ir.cpu.work_shares import BOUNDS, part_name
from sparsert_ir.kernel_function import ProductFunction

KERNEL = "sparsert.kernel"
"""Attribute of a function that computes the tiles and panels that its last arguments name."""


@dataclass(frozen=True)
class Share:
    """What a call of a kernel computes, and the arrays that it works on.

    arrays: x, the residual where there is one, and y.
    copy:   the buffer for a copy of a tile of x, where there is one.
    tiles, panels: first and last, exclusive.
    """

    arrays: Values
    copy: SSAValue | None
    tiles: tuple[SSAValue, SSAValue]
    panels: tuple[SSAValue, SSAValue]


@dataclass(frozen=True)
class KernelFunctions:
    """`@NAME(x, [residual], y)` computes everything; `@NAME_part`, for threads, takes the buffer
    where there is one, the first and last tile and the first and last panel besides; both call
    `@NAME_tiles`, the kernel.

    copy_type: of the buffer, None for none.
    """

    product: ProductFunction
    tile_count: int
    copy_type: MemRefType[Attribute] | None

    @property
    def kernel_name(self) -> str:
        return f"{self.product.name}_tiles"

    def build(self, write: Callable[[Code, Share], None]) -> list[func.FuncOp]:
        """The three functions, the kernel last; `write` writes its body."""
        return [self._whole(), self._part(), self._kernel(write)]

    def _types(self) -> list[Attribute]:
        copies = [] if self.copy_type is None else [self.copy_type]
        return [*self.product.buffer_types(), *copies, *[IndexType()] * BOUNDS]

    def _whole(self) -> func.FuncOp:
        types = self.product.buffer_types()
        block = Block(arg_types=types)
        code = Code(block)
        copies: list[SSAValue] = []
        if self.copy_type is not None:
            copies.append(code.insert(memref.AllocOp([], [], self.copy_type)))
        zero = code.index(0)
        bounds = [zero, code.index(self.tile_count), zero, code.index(self.product.panel_count)]
        code.do(func.CallOp(self.kernel_name, [*block.args, *copies, *bounds], []))
        for copy in copies:
            code.do(memref.DeallocOp.get(copy))
        code.do(func.ReturnOp())
        return func.FuncOp(self.product.name, (types, []), Region(block))

    def _part(self) -> func.FuncOp:
        types = self._types()
        block = Block(arg_types=types)
        code = Code(block)
        code.do(func.CallOp(self.kernel_name, list(block.args), []))
        code.do(func.ReturnOp())
        return func.FuncOp(part_name(self.product.name), (types, []), Region(block))

    def _kernel(self, write: Callable[[Code, Share], None]) -> func.FuncOp:
        types = self._types()
        block = Block(arg_types=types)
        code = Code(block)
        *arrays, first, last, first_panel, last_panel = block.args
        copy = None if self.copy_type is None else arrays.pop()
        write(code, Share(arrays, copy, (first, last), (first_panel, last_panel)))
        code.do(func.ReturnOp())
        kernel = func.FuncOp(self.kernel_name, (types, []), Region(block), visibility="private")
        kernel.attributes[KERNEL] = UnitAttr()
        kernel.attributes["sparsert.schedule"] = self.product.schedule_attr()
        return kernel
