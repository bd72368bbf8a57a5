"""The kernel that has the matrix as code: its launch, its module."""

from dataclasses import dataclass

from xdsl.dialects import func
from xdsl.dialects.builtin import SymbolRefAttr
from xdsl.ir import Block, Operation, Region

from sparsert_ir.building import Code
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import ColumnTilesOp
from sparsert_ir.gpu.code_body import CodeBody
from sparsert_ir.gpu.code_choice import check_memory, check_schedule
from sparsert_ir.kernel_function import ProductFunction


@dataclass(frozen=True)
class CodeKernelBuilder:
    """Writes the kernel and the launch of one product."""

    product: ProductFunction

    @classmethod
    def of(cls, product: ProductFunction, shared_memory: int) -> "CodeKernelBuilder":
        """Raises ScheduleError where no kernel can follow the schedule."""
        check_schedule(product)
        check_memory(product, shared_memory)
        return cls(product)

    @property
    def _block(self) -> tuple[int, int, int]:
        schedule = self.product.schedule
        return schedule.threads, schedule.k_groups, schedule.panels_per_block

    def launcher(self, module_name: str) -> func.FuncOp:
        """The function that launches the kernel."""
        product, schedule = self.product, self.product.schedule
        types = product.buffer_types()
        block = Block(arg_types=types)
        code = Code(block)
        across = schedule.threads * schedule.column_tiles
        columns = code.insert(ColumnTilesOp(product.columns, across))
        panels = code.index(-(-product.panel_count // schedule.panels_per_block))
        deep = code.index(schedule.cluster)
        by_columns = schedule.block_order == "columns"
        grid = [columns, panels, deep] if by_columns else [panels, columns, deep]
        threads = [code.index(size) for size in self._block]
        kernel = SymbolRefAttr(module_name, [product.name])
        code.do(gpu.LaunchFuncOp(kernel, grid, threads, block.args))
        code.do(func.ReturnOp())
        return func.FuncOp(product.name, (types, []), Region(block))

    def build(self) -> gpu.ModuleOp:
        product = self.product
        types = product.buffer_types()
        block = Block(arg_types=types)
        code = Code(block)
        body = CodeBody(product, block.args)
        body.write(code)
        code.do(gpu.ReturnOp())
        cluster = product.schedule.cluster
        clusters = None if cluster == 1 else (1, 1, cluster)
        kernel = gpu.FuncOp(product.name, types, Region(block), self._block, clusters)
        kernel.attributes["sparsert.schedule"] = product.schedule_attr()
        contents: list[Operation] = [*body.globals(), kernel]
        return gpu.ModuleOp(f"{product.name}_kernels", Region(Block(contents)))
