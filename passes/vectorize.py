"""sparsert-vectorize: give each thread several adjacent columns."""

from dataclasses import dataclass, replace
from typing import cast

from xdsl.context import Context
from xdsl.dialects import arith, memref, vector
from xdsl.dialects.builtin import (
    AnyFloat,
    IntegerAttr,
    IntegerType,
    MemRefType,
    ModuleOp,
    SymbolRefAttr,
    VectorType,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from sparsert_ir.building import Code, array_type
from sparsert_ir.cpu.functions import KERNEL
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import (
    ColumnTilesOp,
    FirstColumnOp,
    LoadColumnsOp,
    PanelProductOp,
    ScheduleAttr,
    lane_element,
)
from sparsert_ir.epilogue import splat
from sparsert_ir.errors import IRError, ScheduleError
from sparsert_ir.gpu_facts import WORKGROUP
from sparsert_ir.kernel_function import only_block
from sparsert_ir.schedule import Schedule

_ELEMENTWISE = (arith.AddfOp, arith.MaximumfOp, arith.ExtFOp, arith.TruncFOp)

_WIDEST_LANE = 1024
"""Columns of a thread; LLVM ends the process for vectors of many more."""


@dataclass(frozen=True)
class Vectorize(ModulePass):
    """Widen every lane of a kernel from one column to `columns-per-thread` (default: the
    schedule's).

    f16 lanes become pairs that one `fma.rn.f16x2` multiplies. Two columns of f16 work for any N;
    otherwise the width must be a power of two and N a multiple of it, so that every access is
    aligned.

    On a CPU, tiles have their width from the start: another one here is a ScheduleError.

    Requires: `sparsert-map-to-gpu`; one kernel in a `gpu.module`, one launch in a function; lanes
    of one column; the pattern not yet unrolled.
    Guarantees: the same result with fewer threads; the launch covers all columns; the kernel's
    schedule says so.
    """

    name = "sparsert-vectorize"

    columns_per_thread: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for holder in list(op.body.block.ops):
            if isinstance(holder, gpu.ModuleOp):
                self._widen_module(op, holder)
            elif KERNEL in holder.attributes:
                self._check_tiles(holder)

    def _widen_module(self, module: ModuleOp, holder: gpu.ModuleOp) -> None:
        kernels = [op for op in holder.body.block.ops if isinstance(op, gpu.FuncOp)]
        for kernel in kernels:
            width = self._width(kernel)
            if width == 1:
                continue
            if len(kernels) > 1:
                raise IRError(
                    f"{self.name}: expected one kernel in @{holder.sym_name.data}, whose workgroup"
                    f" memory gets wider with its lanes, got {len(kernels)}"
                )
            _check_alignment(kernel, width)
            _widen_workgroup_memory(holder, width)
            _widen_ops(kernel, width)
            name = SymbolRefAttr(holder.sym_name.data, [kernel.sym_name.data])
            _widen_launch(module, name, width)

    def _check_tiles(self, kernel: Operation) -> None:
        tiled, asked = kernel.attributes.get("sparsert.schedule"), self.columns_per_thread
        width = tiled.data.columns_per_thread if isinstance(tiled, ScheduleAttr) else None
        if asked not in (None, width):
            raise ScheduleError(
                f"schedule: expected no columns-per-thread here for tiles of a CPU, got {asked};"
                " give it to sparsert-schedule, before the product is cut into tiles"
            )

    def _width(self, kernel: Operation) -> int:
        """Columns of a lane; a schedule that says otherwise is brought in line."""
        known = kernel.attributes.get("sparsert.schedule")
        schedule = known.data if isinstance(known, ScheduleAttr) else Schedule()
        if self.columns_per_thread is not None:
            schedule = replace(schedule, columns_per_thread=self.columns_per_thread)
        if isinstance(known, ScheduleAttr):
            kernel.attributes["sparsert.schedule"] = ScheduleAttr(schedule)
        return schedule.columns_per_thread


def _check_alignment(kernel: gpu.FuncOp, width: int) -> None:
    y = cast(MemRefType[Attribute], only_block(kernel, "sparsert-vectorize").args[-1].type)
    if width & (width - 1) or width > _WIDEST_LANE:
        raise ScheduleError(
            "schedule: columns_per_thread must be a power of two on a GPU, at most"
            f" {_WIDEST_LANE}, got {width}"
        )
    windows = [op.window for op in kernel.walk() if isinstance(op, PanelProductOp) and op.window]
    columns = windows[0].data.columns if windows else y.get_shape()[-1]
    pair = width == 2 and cast(AnyFloat, y.element_type).bitwidth == 16
    if columns % width and not pair:
        raise ScheduleError(
            f"schedule: columns_per_thread = {width} needs a number of columns that is a multiple"
            f" of it (or pairs of 16 bits), got N = {columns}"
        )


def _widen_workgroup_memory(kernels: gpu.ModuleOp, width: int) -> None:
    for op in kernels.walk():
        if isinstance(op, memref.GlobalOp) and _in_workgroup(op.type):
            op.properties["type"] = _widened(op.type, width)
        elif isinstance(op, memref.GetGlobalOp) and _in_workgroup(op.memref.type):
            wide = _widened(op.memref.type, width)
            Rewriter.replace_value_with_new_type(op.memref, wide)


def _in_workgroup(kind: Attribute) -> bool:
    """Whether a memref holds lanes of a block; integers are signals between threads."""
    buffer = cast(MemRefType[Attribute], kind)
    space = buffer.memory_space
    inside = isinstance(space, IntegerAttr) and space.value.data == WORKGROUP
    return inside and not isinstance(buffer.element_type, IntegerType)


def _widened(kind: MemRefType[Attribute], width: int) -> MemRefType[Attribute]:
    *outer, last = kind.get_shape()
    return array_type([*outer, last * width], kind.element_type, WORKGROUP)


def _widen_launch(module: ModuleOp, kernel: SymbolRefAttr, width: int) -> None:
    for function in module.body.block.ops:
        launches = [op for op in function.walk() if isinstance(op, gpu.LaunchFuncOp)]
        if not any(launch.kernel == kernel for launch in launches):
            continue
        if len(launches) > 1:
            raise IRError(
                "sparsert-vectorize: expected one launch in a function, whose columns get fewer"
                f" lanes, got {len(launches)}"
            )
        _widen_ops(function, width)


def _widen_ops(function: Operation, width: int) -> None:
    """Widen in program order, so that every operand is wide before its users are looked at."""
    for op in list(function.walk()):
        if isinstance(op, (FirstColumnOp, ColumnTilesOp)):
            op.properties["width"] = IntegerAttr(op.width.value.data * width, i64)
        elif isinstance(op, (PanelProductOp, LoadColumnsOp)):
            _widen_results(op, width)
        elif isinstance(op, _ELEMENTWISE) and _has_wide_operand(op):
            _splat_operands(op, width)
            _widen_results(op, width)
        elif isinstance(op, vector.BroadcastOp | vector.FMAOp):
            raise IRError(f"sparsert-vectorize: expected lanes of one column, got {op.name}")


def _has_wide_operand(op: Operation) -> bool:
    return any(isinstance(operand.type, VectorType) for operand in op.operands)


def _widen_results(op: Operation, width: int) -> None:
    for result in list(op.results):
        lane = result.type
        if isinstance(lane, VectorType):
            raise IRError(f"sparsert-vectorize: expected lanes of one column, got {lane}")
        Rewriter.replace_value_with_new_type(result, VectorType(lane_element(lane), [width]))


def _splat_operands(op: Operation, width: int) -> None:
    code = Code(InsertPoint.before(op))
    wide: list[SSAValue] = []
    for operand in op.operands:
        lane = VectorType(lane_element(operand.type), [width])
        narrow = not isinstance(operand.type, VectorType)
        wide.append(splat(code, operand, lane) if narrow else operand)
    op.operands = wide
