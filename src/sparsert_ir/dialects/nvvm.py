"""The part of MLIR's `nvvm` dialect that we emit: each operation is one LLVM NVPTX intrinsic.

Reference: https://llvm.org/docs/NVPTXUsage.html
"""

from typing import ClassVar

from xdsl.dialects.builtin import IntegerAttr, i32
from xdsl.ir import Dialect, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure


class SpecialRegisterOp(IRDLOperation):
    """Read a special register."""

    result = result_def(i32)

    traits = traits_def(Pure())

    assembly_format = "attr-dict `:` type($result)"

    def __init__(self) -> None:
        super().__init__(result_types=[i32])


@irdl_op_definition
class ThreadIdXOp(SpecialRegisterOp):
    """Thread of the block, first dimension."""

    name = "nvvm.read.ptx.sreg.tid.x"


@irdl_op_definition
class ThreadIdYOp(SpecialRegisterOp):
    """Thread of the block, second dimension."""

    name = "nvvm.read.ptx.sreg.tid.y"


@irdl_op_definition
class ThreadIdZOp(SpecialRegisterOp):
    """Thread of the block, third dimension."""

    name = "nvvm.read.ptx.sreg.tid.z"


@irdl_op_definition
class BlockIdXOp(SpecialRegisterOp):
    """Block of the grid, first dimension."""

    name = "nvvm.read.ptx.sreg.ctaid.x"


@irdl_op_definition
class BlockIdYOp(SpecialRegisterOp):
    """Block of the grid, second dimension."""

    name = "nvvm.read.ptx.sreg.ctaid.y"


@irdl_op_definition
class BlockIdZOp(SpecialRegisterOp):
    """Block of the grid, third dimension."""

    name = "nvvm.read.ptx.sreg.ctaid.z"


@irdl_op_definition
class Barrier0Op(IRDLOperation):
    """Wait for all threads of the block (`bar.sync 0`)."""

    name = "nvvm.barrier0"

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class GridLaunchDependentsOp(IRDLOperation):
    """The next kernel on the stream may start, if it was launched to overlap this one (sm_90)."""

    name = "nvvm.griddepcontrol.launch_dependents"

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class GridWaitOp(IRDLOperation):
    """Wait until the kernel before this one is done and what it wrote is visible (sm_90)."""

    name = "nvvm.griddepcontrol.wait"

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


class ShuffleOp(IRDLOperation):
    """A 32-bit value of another lane of the warp; all 32 lanes take part."""

    T: ClassVar = VarConstraint("T", AnyAttr())

    value = operand_def(T)
    offset = prop_def(IntegerAttr.constr(i32))
    result = result_def(T)

    assembly_format = "$value `,` $offset attr-dict `:` type($value)"

    def __init__(self, value: SSAValue, offset: IntegerAttr):
        super().__init__(operands=[value], result_types=[value.type], properties={"offset": offset})


@irdl_op_definition
class ShuffleBflyOp(ShuffleOp):
    """From lane `own lane xor offset`."""

    name = "nvvm.shfl.sync.bfly"


@irdl_op_definition
class ShuffleDownOp(ShuffleOp):
    """From lane `own lane + offset`."""

    name = "nvvm.shfl.sync.down"


@irdl_op_definition
class ShuffleUpOp(ShuffleOp):
    """From lane `own lane - offset`."""

    name = "nvvm.shfl.sync.up"


@irdl_op_definition
class ShuffleIdxOp(ShuffleOp):
    """From lane `offset`."""

    name = "nvvm.shfl.sync.idx"


Nvvm = Dialect(
    "nvvm",
    [
        ThreadIdXOp,
        ThreadIdYOp,
        ThreadIdZOp,
        BlockIdXOp,
        BlockIdYOp,
        BlockIdZOp,
        Barrier0Op,
        GridLaunchDependentsOp,
        GridWaitOp,
        ShuffleBflyOp,
        ShuffleDownOp,
        ShuffleUpOp,
        ShuffleIdxOp,
    ],
)
