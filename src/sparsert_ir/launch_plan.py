"""What the host part of a mapped module says: how its kernel is launched."""

from dataclasses import dataclass
from typing import TypeAlias

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.ir import Operation, SSAValue

from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import ColumnTilesOp
from sparsert_ir.errors import IRError

Extent: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class LaunchPlan:
    """Blocks in the grid and threads in a block, x first; the kernel's `gpu.module`."""

    grid: Extent
    block: Extent
    kernels: gpu.ModuleOp


def launch_plan(module: ModuleOp) -> LaunchPlan:
    """The only launch of a module; IRError where there is another number of them."""
    launches = [op for op in module.walk() if isinstance(op, gpu.LaunchFuncOp)]
    kernels = [op for op in module.body.block.ops if isinstance(op, gpu.ModuleOp)]
    if len(launches) != 1 or len(kernels) != 1:
        raise IRError(f"expected one launch of one gpu.module, got {len(launches)} launches")
    launch = launches[0]
    return LaunchPlan(_extent(launch.grid), _extent(launch.block), kernels[0])


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
