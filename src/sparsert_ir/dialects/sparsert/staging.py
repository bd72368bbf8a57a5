"""Copies to the memory of a block that run beside other work: `cp.async` of sm_80 and later.

A thread's copies since its last `async_commit` are one group. What a copy writes may be read by the
thread itself once `async_wait` says so, by other threads after a barrier that follows it.
PTX ISA, "Data Movement and Conversion Instructions: Asynchronous copy".
"""

from typing import cast

from xdsl.dialects.builtin import AnyFloat, IndexType, IntegerAttr, MemRefType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, prop_def, traits_def
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect

from sparsert_ir.dialects.sparsert.checks import MEMREF, check_memory, expect
from sparsert_ir.gpu_facts import WORKGROUP

ASYNC_COPY_BYTES = (4, 8, 16)
"""What one copy can move."""


@irdl_op_definition
class AsyncCopyOp(IRDLOperation):
    """Start to copy `count` adjacent elements of a row of `x` to a row of `staged`: 4, 8 or 16
    bytes that lie on multiples of their size in both.
    """

    name = "sparsert.async_copy"

    x = operand_def(MEMREF)
    row = operand_def(IndexType)
    column = operand_def(IndexType)
    staged = operand_def(MEMREF)
    slot = operand_def(IndexType)
    place = operand_def(IndexType)
    count = prop_def(IntegerAttr.constr(i64))

    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    assembly_format = (
        "$x `[` $row `,` $column `]` `to` $staged `[` $slot `,` $place `]` `x` $count attr-dict"
        " `:` type($x) `->` type($staged)"
    )

    def __init__(
        self,
        x: SSAValue,
        source: tuple[SSAValue, SSAValue],
        staged: SSAValue,
        target: tuple[SSAValue, SSAValue],
        count: int,
    ):
        super().__init__(
            operands=[x, *source, staged, *target], properties={"count": IntegerAttr(count, i64)}
        )

    @property
    def byte_count(self) -> int:
        element = cast(MemRefType[AnyFloat], self.x.type).element_type
        return self.count.value.data * element.bitwidth // 8

    def verify_(self) -> None:
        kinds = [cast(MemRefType[Attribute], memory.type) for memory in (self.x, self.staged)]
        for memory, kind in zip((self.x, self.staged), kinds, strict=True):
            check_memory(memory, "a copy's memory", 2)
            expect(kind.get_num_dims() == 2, "a copy's memory of rank", 2, kind)
            columns, count = kind.get_shape()[1], self.count.value.data
            expect(
                count >= 1 and columns % count == 0,
                "rows that are a multiple of the elements copied:",
                count,
                columns,
            )
        x, staged = kinds
        expect(x.element_type == staged.element_type, "elements of type", x.element_type, staged)
        expect(_space(staged) == WORKGROUP, "a copy to memory space", WORKGROUP, staged)
        expect(_space(x) != WORKGROUP, "a copy from a memory space other than", WORKGROUP, x)
        expect(
            self.byte_count in ASYNC_COPY_BYTES, "a copy of bytes", "4, 8 or 16", self.byte_count
        )


def _space(kind: MemRefType[Attribute]) -> int | None:
    space = kind.memory_space
    return space.value.data if isinstance(space, IntegerAttr) else None


@irdl_op_definition
class AsyncCommitOp(IRDLOperation):
    """The thread's copies since the last commit, none perhaps, are a group."""

    name = "sparsert.async_commit"

    assembly_format = "attr-dict"

    def __init__(self) -> None:
        super().__init__()


@irdl_op_definition
class AsyncWaitOp(IRDLOperation):
    """Wait until at most the `pending` latest groups of the thread are still on their way."""

    name = "sparsert.async_wait"

    pending = prop_def(IntegerAttr.constr(i64))

    assembly_format = "$pending attr-dict"

    def __init__(self, pending: int):
        super().__init__(properties={"pending": IntegerAttr(pending, i64)})

    def verify_(self) -> None:
        expect(
            self.pending.value.data >= 0, "pending groups, in number,", "0 or more", self.pending
        )
