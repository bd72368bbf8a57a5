"""The kernel that streams a packed matrix: its launch, its arrays, its module."""

from dataclasses import dataclass
from math import gcd

from xdsl.dialects import func, memref
from xdsl.dialects.builtin import IntegerAttr, MemRefType, SymbolRefAttr, i32, i64
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from sparsert_ir.building import Code, array_type, constant_table, memref_of, workgroup_buffer
from sparsert_ir.dense import Dense, to_dense
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import StreamLayoutAttr
from sparsert_ir.gpu.staging import StagedSlice
from sparsert_ir.gpu.stream_arrays import StreamArrays
from sparsert_ir.gpu.stream_body import StreamBody
from sparsert_ir.gpu.stream_choice import (
    blocks_per_tile,
    check_schedule,
    stream_layout,
    tile_columns,
    tile_count,
    tile_dimension,
)
from sparsert_ir.gpu_facts import MIN_BLOCKS, MMA_TILE, WORKGROUP
from sparsert_ir.kernel_function import ProductFunction
from sparsert_ir.layout.packing import PIECE_BYTES, StreamLayout, pack_stream

X_SLICE = "x_slice"


@dataclass(frozen=True)
class StreamKernelBuilder:
    """Writes the kernel, the launch and the packed arrays of one product."""

    product: ProductFunction
    layout: StreamLayout
    tables: dict[str, Dense]

    @classmethod
    def of(cls, product: ProductFunction, shared_memory: int) -> "StreamKernelBuilder":
        check_schedule(product)
        layout, rows = stream_layout(product, shared_memory)
        stream = pack_stream(*product.constant.arrays(), rows, layout)
        tables = {
            "values": to_dense(stream.values),
            "indices": to_dense(stream.indices),
            "starts": to_dense(stream.starts),
            "rows": to_dense(rows),
        }
        bias = product.bias()
        if bias is not None:
            tables["bias"] = bias
        return cls(product, layout, tables)

    @property
    def _tile(self) -> int:
        """Columns that a block computes."""
        return tile_columns(self.product.schedule)

    def _x_slice_type(self) -> MemRefType[Attribute]:
        """A slice of x, in pieces of its columns."""
        element_type = self.product.element_type
        pieces = self._tile // self._piece
        return array_type([pieces * self._staged_rows, self._piece], element_type, WORKGROUP)

    @property
    def _piece(self) -> int:
        """Columns of a row that lie together in shared memory."""
        return MMA_TILE if self.product.schedule.instruction == "mma" else self._tile

    @property
    def _staged_rows(self) -> int:
        """A row of zeros more than a slice has, and as many as make whole 16-byte pieces."""
        together = PIECE_BYTES // gcd(PIECE_BYTES, self.layout.row_bytes)
        return -(-(self.layout.slice_columns + 1) // together) * together

    def constants(self) -> list[Operation]:
        """The packed arrays as constants of the module."""
        return [constant_table(self._table_name(key), data) for key, data in self.tables.items()]

    def _table_name(self, key: str) -> str:
        return f"{self.product.name}_{key}"

    def launcher(self, module_name: str) -> func.FuncOp:
        """The function that launches the kernel with the packed arrays."""
        product = self.product
        types = product.buffer_types()
        block = Block(arg_types=types)
        code = Code(block)
        extents = [blocks_per_tile(self.layout, product.schedule), tile_count(product)]
        if tile_dimension(product) == "x":
            extents.reverse()
        grid = [code.index(extent) for extent in (*extents, 1)]
        threads = [code.index(product.schedule.threads), code.index(1), code.index(1)]
        tables = [
            code.insert(memref.GetGlobalOp(self._table_name(key), memref_of(data.type)))
            for key, data in self.tables.items()
        ]
        kernel = SymbolRefAttr(module_name, [product.name])
        code.do(gpu.LaunchFuncOp(kernel, grid, threads, [*block.args, *tables]))
        code.do(func.ReturnOp())
        return func.FuncOp(product.name, (types, []), Region(block))

    def build(self) -> gpu.ModuleOp:
        product = self.product
        buffers = product.buffer_types()
        types = [*buffers, *(memref_of(data.type) for data in self.tables.values())]
        block = Block(arg_types=types)
        code = Code(block)
        arrays: list[SSAValue] = list(block.args[len(buffers) :])
        x_slice = code.table(X_SLICE, self._x_slice_type())
        parts = StreamArrays(
            product,
            self.layout,
            buffers=list(block.args[: len(buffers)]),
            tables=dict(zip(self.tables, arrays, strict=True)),
            staged=StagedSlice(x_slice, self._staged_rows, self._piece),
        )
        StreamBody.of(parts, code).write(code)
        code.do(gpu.ReturnOp())
        threads = (product.schedule.threads, 1, 1)
        kernel = gpu.FuncOp(product.name, types, Region(block), threads)
        kernel.attributes["sparsert.schedule"] = product.schedule_attr()
        kernel.attributes["sparsert.layout"] = StreamLayoutAttr(self.layout)
        kernel.attributes["sparsert.constants"] = IntegerAttr(len(self.tables), i64)
        if product.schedule.instruction == "mma":
            # With fewer registers ptxas puts each load right before its use.
            kernel.attributes[MIN_BLOCKS] = IntegerAttr(1, i32)
        contents: list[Operation] = [workgroup_buffer(X_SLICE, self._x_slice_type()), kernel]
        return gpu.ModuleOp(f"{product.name}_kernels", Region(Block(contents)))
