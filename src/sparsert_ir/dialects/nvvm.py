"""The part of MLIR's `nvvm` dialect that we emit: each operation is one LLVM NVPTX intrinsic, or an
instruction of PTX that has none.

Reference: https://llvm.org/docs/NVPTXUsage.html
"""

from typing import ClassVar

from xdsl.dialects.builtin import IntAttr, IntegerAttr, VectorType, i32
from xdsl.dialects.llvm import LLVMPointerType
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    VarConstraint,
    base,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from sparsert_ir.dialects.fragments import (
    A_ELEMENTS,
    SUMS_TYPE,
    check_factors,
    check_fragment,
)
from sparsert_ir.gpu_facts import CLUSTER, GLOBAL, WORKGROUP

SHARED = LLVMPointerType(IntAttr(WORKGROUP))
OF_CLUSTER = LLVMPointerType(IntAttr(CLUSTER))
OF_GLOBAL = LLVMPointerType(IntAttr(GLOBAL))


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
class ClusterArriveRelaxedOp(IRDLOperation):
    """Tell those that wait in `nvvm.cluster.wait` that this thread has come so far; no promise
    about what it stored (sm_90).
    """

    name = "nvvm.cluster.arrive.relaxed"

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class ClusterWaitOp(IRDLOperation):
    """Wait until all threads of the cluster have arrived (sm_90)."""

    name = "nvvm.cluster.wait"

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class MapaOp(IRDLOperation):
    """The address of the same place in the shared memory of another block of the cluster (sm_90).

    `block` is its rank: x + size_x * (y + size_y * z).
    """

    name = "nvvm.mapa"

    pointer = operand_def(SHARED)
    block = operand_def(i32)
    result = result_def(OF_CLUSTER)

    traits = traits_def(Pure())

    assembly_format = "$pointer `,` $block attr-dict `:` type($pointer) `->` type($result)"

    def __init__(self, pointer: SSAValue, block: SSAValue):
        super().__init__(operands=[pointer, block], result_types=[OF_CLUSTER])


class MbarrierOp(IRDLOperation):
    """An operation on a barrier object in shared memory, with a number."""

    barrier = operand_def(SHARED)
    number = operand_def(i32)

    assembly_format = "$barrier `,` $number attr-dict `:` type($barrier)"

    def __init__(self, barrier: SSAValue, number: SSAValue):
        super().__init__(operands=[barrier, number])


@irdl_op_definition
class MbarrierInitOp(MbarrierOp):
    """Make the barrier object; a phase of it ends after `number` arrivals (sm_80)."""

    name = "nvvm.mbarrier.init"


@irdl_op_definition
class MbarrierArriveExpectTxOp(MbarrierOp):
    """Arrive; the phase does not end before `number` bytes have been stored either (sm_90)."""

    name = "nvvm.mbarrier.arrive.expect_tx"


@irdl_op_definition
class MbarrierWaitParityOp(MbarrierOp):
    """Wait for the end of the phase of parity `number`; what was stored in it by any block of the
    cluster is visible after (sm_90).
    """

    name = "nvvm.mbarrier.try_wait.parity"


@irdl_op_definition
class FenceMbarrierInitOp(IRDLOperation):
    """Whoever hears of it from this thread sees the barrier objects that it has made (sm_90)."""

    name = "nvvm.fence.mbarrier.init"

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class StAsyncOp(IRDLOperation):
    """Store words in the shared memory of a block of the cluster; the barrier object there counts
    their bytes once they are visible (`st.async`; sm_90).
    """

    name = "nvvm.st.async"

    value = operand_def(AnyAttr())
    pointer = operand_def(OF_CLUSTER)
    barrier = operand_def(OF_CLUSTER)

    assembly_format = (
        "$value `,` $pointer `,` $barrier attr-dict `:` type($value) `,` type($pointer)"
    )

    def __init__(self, value: SSAValue, pointer: SSAValue, barrier: SSAValue):
        super().__init__(operands=[value, pointer, barrier])


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


@irdl_op_definition
class CpAsyncBulkOp(IRDLOperation):
    """Start to copy `size` bytes, a multiple of 16, from global to shared memory; the barrier
    object counts them once they are visible (sm_90).
    """

    name = "nvvm.cp.async.bulk.shared.cluster.global"

    target = operand_def(SHARED)
    source = operand_def(OF_GLOBAL)
    barrier = operand_def(SHARED)
    size = operand_def(i32)

    assembly_format = (
        "$target `,` $source `,` $barrier `,` $size attr-dict `:` type($target) `,` type($source)"
    )

    def __init__(self, target: SSAValue, source: SSAValue, barrier: SSAValue, size: SSAValue):
        super().__init__(operands=[target, source, barrier, size])


@irdl_op_definition
class CpAsyncOp(IRDLOperation):
    """Start to copy `size` bytes, 4, 8 or 16, from global to shared memory (sm_80).

    16 bytes pass by the L1 cache (`.cg`), fewer go through it (`.ca`).
    """

    name = "nvvm.cp.async.shared.global"

    target = operand_def(SHARED)
    source = operand_def(OF_GLOBAL)
    size = prop_def(IntegerAttr.constr(i32))

    assembly_format = "$target `,` $source `,` $size attr-dict `:` type($target) `,` type($source)"

    def __init__(self, target: SSAValue, source: SSAValue, size: int):
        super().__init__(operands=[target, source], properties={"size": IntegerAttr(size, i32)})

    def verify_(self) -> None:
        if self.size.value.data not in (4, 8, 16):
            raise VerifyException(
                f"expected a copy of 4, 8 or 16 bytes, got {self.size.value.data}"
            )


@irdl_op_definition
class CpAsyncCommitGroupOp(IRDLOperation):
    """Copies since the last commit become a group."""

    name = "nvvm.cp.async.commit.group"

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class CpAsyncWaitGroupOp(IRDLOperation):
    """Wait until at most the `n` latest groups of copies are on their way."""

    name = "nvvm.cp.async.wait.group"

    n = prop_def(IntegerAttr.constr(i32))

    assembly_format = "$n attr-dict"

    def __init__(self, n: int):
        super().__init__(properties={"n": IntegerAttr(n, i32)})

    def verify_(self) -> None:
        if self.n.value.data < 0:
            raise VerifyException(f"expected 0 groups or more, got {self.n.value.data}")


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


@irdl_op_definition
class LdMatrixOp(IRDLOperation):
    """Load four 8x8 tiles, transposed, from where the lanes point (`ldmatrix.x4.trans`; sm_75).

    Who holds what: `sparsert_ir.dialects.nvgpu.LdMatrixOp`.
    """

    name = "nvvm.ldmatrix"

    pointer = operand_def(SHARED)
    result = result_def(base(VectorType[Attribute]))

    assembly_format = "$pointer attr-dict `:` type($pointer) `->` type($result)"

    def __init__(self, pointer: SSAValue, fragment: VectorType[Attribute]):
        super().__init__(operands=[pointer], result_types=[fragment])

    def verify_(self) -> None:
        check_fragment(self.result.type, A_ELEMENTS)


@irdl_op_definition
class MmaSyncOp(IRDLOperation):
    """`a @ b + c` of matrices that a warp holds (`mma.m16n8k16`, sums in f32; sm_80).

    Who holds what: `sparsert_ir.dialects.nvgpu.MmaSyncOp`.
    """

    name = "nvvm.mma.sync"

    a = operand_def(base(VectorType[Attribute]))
    b = operand_def(base(VectorType[Attribute]))
    c = operand_def(SUMS_TYPE)
    result = result_def(SUMS_TYPE)

    traits = traits_def(Pure())

    assembly_format = "$a `,` $b `,` $c attr-dict `:` type($a) `,` type($b)"

    def __init__(self, a: SSAValue, b: SSAValue, c: SSAValue):
        super().__init__(operands=[a, b, c], result_types=[SUMS_TYPE])

    def verify_(self) -> None:
        check_factors(self.a.type, self.b.type)


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
        ClusterArriveRelaxedOp,
        ClusterWaitOp,
        MapaOp,
        MbarrierInitOp,
        MbarrierArriveExpectTxOp,
        MbarrierWaitParityOp,
        FenceMbarrierInitOp,
        StAsyncOp,
        GridLaunchDependentsOp,
        GridWaitOp,
        CpAsyncOp,
        CpAsyncBulkOp,
        CpAsyncCommitGroupOp,
        CpAsyncWaitGroupOp,
        ShuffleBflyOp,
        ShuffleDownOp,
        ShuffleUpOp,
        ShuffleIdxOp,
        LdMatrixOp,
        MmaSyncOp,
    ],
)
