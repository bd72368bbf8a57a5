"""Sums sent from block to block within a thread block cluster.

Each block has an inbox in its workgroup memory and a signal that says when it is full. A lane that
is sent is stored there without anyone waiting, and counted by the receiver's signal: no barrier
and no fence stand between the last sum and its reader (PTX ISA, "st.async" and "mbarrier").
"""

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import IndexType, IntegerAttr, MemRefType, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, var_operand_def

from sparsert_ir.dialects.sparsert.checks import (
    LANE,
    MEMREF,
    check_float,
    check_lane,
    check_lane_of,
    check_memory,
    expect,
)
from sparsert_ir.gpu_facts import WORKGROUP

SIGNAL = MemRefType(i64, [1], memory_space=IntegerAttr(WORKGROUP, 64))
"""One signal of each block."""


@irdl_op_definition
class OpenInboxOp(IRDLOperation):
    """All threads of the cluster meet here; from now on this block's `signal` waits for `rows` rows
    (of the last dimension) of `inbox`, and lanes may be sent. Once in a kernel.
    """

    name = "sparsert.open_inbox"

    signal = operand_def(SIGNAL)
    inbox = operand_def(MEMREF)
    rows = operand_def(IndexType)

    assembly_format = "$signal `for` $rows `rows` `of` $inbox attr-dict `:` type($inbox)"

    def __init__(self, signal: SSAValue, inbox: SSAValue, rows: SSAValue):
        super().__init__(operands=[signal, inbox, rows])

    def verify_(self) -> None:
        _check_inbox(self.inbox)


@irdl_op_definition
class SendColumnsOp(IRDLOperation):
    """Store a lane in the `inbox` of block number `block` of the cluster, whose `signal` counts it.

    Blocks are numbered x first: x + size_x * (y + size_y * z). Whole lanes only; nobody may read
    them before `await_inbox`.
    """

    name = "sparsert.send_columns"

    value = operand_def(LANE)
    inbox = operand_def(MEMREF)
    indices = var_operand_def(IndexType)
    block = operand_def(IndexType)
    signal = operand_def(SIGNAL)

    assembly_format = (
        "$value `,` $inbox `[` $indices `]` `of` $block `signal` $signal attr-dict"
        " `:` type($inbox) `,` type($value)"
    )

    def __init__(
        self,
        value: SSAValue,
        inbox: SSAValue,
        indices: Sequence[SSAValue],
        block: SSAValue,
        signal: SSAValue,
    ):
        super().__init__(operands=[value, inbox, list(indices), block, signal])

    def verify_(self) -> None:
        rank = _check_inbox(self.inbox).get_num_dims()
        expect(len(self.indices) == rank, "indices, in number,", rank, len(self.indices))
        check_lane(self.value.type)
        check_lane_of(self.value.type, self.inbox)


@irdl_op_definition
class AwaitInboxOp(IRDLOperation):
    """All threads of the block wait until all rows of its `inbox` are there, and may read them."""

    name = "sparsert.await_inbox"

    signal = operand_def(SIGNAL)
    inbox = operand_def(MEMREF)

    assembly_format = "$signal `of` $inbox attr-dict `:` type($inbox)"

    def __init__(self, signal: SSAValue | Operation, inbox: SSAValue | Operation):
        super().__init__(operands=[signal, inbox])

    def verify_(self) -> None:
        _check_inbox(self.inbox)


def _check_inbox(inbox: SSAValue) -> MemRefType[Attribute]:
    check_memory(inbox, "an inbox")
    kind = cast(MemRefType[Attribute], inbox.type)
    check_float(kind.element_type, "an inbox")
    space = kind.memory_space
    inside = isinstance(space, IntegerAttr) and space.value.data == WORKGROUP
    expect(inside, "an inbox in memory space", WORKGROUP, kind)
    return kind
