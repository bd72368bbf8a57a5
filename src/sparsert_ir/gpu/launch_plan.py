"""What the host part of a mapped module says: how its kernel is launched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from xdsl.dialects import arith, llvm, memref
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.traits import SymbolTable

from sparsert_ir.dense import Array, Dense, element_bytes, to_numpy
from sparsert_ir.dialects import gpu, nvvm
from sparsert_ir.dialects.sparsert import ColumnTilesOp, StreamLayoutAttr
from sparsert_ir.errors import IRError, ScheduleError
from sparsert_ir.gpu_facts import LARGEST_GRID_Y
from sparsert_ir.layout.packing import StreamLayout

Extent: TypeAlias = tuple[int, int, int]

_GRID_LIMITS = (2**31 - 1, LARGEST_GRID_Y, LARGEST_GRID_Y)
"""Of every CUDA GPU (CUDA C++ Programming Guide, compute capabilities)."""


@dataclass(frozen=True)
class LaunchPlan:
    """How a kernel is launched.

    grid, block:  blocks in the grid and threads in a block, x first.
    kernels:      the kernel's `gpu.module`.
    constants:    arrays that the launch passes after the function's own arguments, by name.
    shared_bytes: shared memory per block that is asked for at the launch.
    overlapped:   whether the kernel may start while the one before it still runs.
    layout:       how the matrix lies in the constants; None where it is code.
    """

    grid: Extent
    block: Extent
    kernels: gpu.ModuleOp
    constants: Mapping[str, Array]
    shared_bytes: int
    overlapped: bool
    layout: StreamLayout | None

    @property
    def constant_bytes(self) -> int:
        """Of all constants."""
        return sum(array.nbytes for array in self.constants.values())


def launch_plan(module: ModuleOp) -> LaunchPlan:
    """The only launch of a module.

    Raises IRError where there is another number of them, ScheduleError for too large a grid.
    """
    launches = [op for op in module.walk() if isinstance(op, gpu.LaunchFuncOp)]
    kernels = [op for op in module.body.block.ops if isinstance(op, gpu.ModuleOp)]
    if len(launches) != 1 or len(kernels) != 1:
        raise IRError(f"expected one launch of one gpu.module, got {len(launches)} launches")
    launch = launches[0]
    plan = LaunchPlan(
        grid=_extent(launch.grid),
        block=_extent(launch.block),
        kernels=kernels[0],
        constants=_constants(module, launch),
        shared_bytes=sum(map(_dynamic_bytes, kernels[0].walk())),
        overlapped=any(isinstance(op, nvvm.GridWaitOp) for op in kernels[0].walk()),
        layout=_layout(kernels[0]),
    )
    for extent, limit in zip(plan.grid, _GRID_LIMITS, strict=True):
        if extent > limit:
            raise ScheduleError(
                f"schedule: a grid must be at most {_GRID_LIMITS} blocks, got {plan.grid}; change"
                " block_order, or give each block more columns or panels"
            )
    return plan


def _layout(kernels: gpu.ModuleOp) -> StreamLayout | None:
    for op in kernels.body.block.ops:
        layout = op.attributes.get("sparsert.layout")
        if isinstance(layout, StreamLayoutAttr):
            return layout.data
    return None


def _constants(module: ModuleOp, launch: gpu.LaunchFuncOp) -> dict[str, Array]:
    """The module's arrays among the launch's arguments, in order."""
    arrays: dict[str, Array] = {}
    for argument in launch.arguments:
        if isinstance(argument.owner, memref.GetGlobalOp):
            name = argument.owner.name_.string_value()
            table = SymbolTable.lookup_symbol(module, name)
            if not isinstance(table, memref.GlobalOp):
                raise IRError(f"expected a memref.global named @{name}")
            arrays[name] = to_numpy(cast(Dense, table.initial_value))
    return arrays


def _dynamic_bytes(op: Operation) -> int:
    """Bytes of workgroup memory too large to be declared."""
    if not isinstance(op, llvm.GlobalOp) or op.linkage.linkage.data != "external":
        return 0
    kind = op.global_type
    assert isinstance(kind, llvm.LLVMArrayType)
    return kind.size.data * element_bytes(kind.type)


def _extent(sizes: tuple[SSAValue, SSAValue, SSAValue]) -> Extent:
    x, y, z = (_number(size.owner) for size in sizes)
    return x, y, z


def _number(owner: object) -> int:
    match owner:
        case ColumnTilesOp():
            return owner.tiles
        case arith.ConstantOp(value=IntegerAttr() as number):
            return number.value.data
        case Operation():
            raise IRError(f"expected a launch of known size, got one from {owner.name}")
        case _:
            raise IRError("expected a launch of known size, got an argument")
