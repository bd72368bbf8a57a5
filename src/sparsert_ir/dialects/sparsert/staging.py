"""Copies to the memory of a block that run beside other work.

`cp.async` of sm_80 and later: a thread's copies since its last `async_commit` are one group. What
they write may be read by the thread itself once `async_wait` says so, by other threads after a
barrier that follows it.

`cp.async.bulk` of sm_90 and later: a signal counts the bytes that have come. Its phase ends when it
was told how many to expect (`expect_bytes`) and they are there; then the next one begins. What was
copied may be read by all that have waited for the phase.
PTX ISA, "Data Movement and Conversion Instructions: Asynchronous copy", "mbarrier".
"""

from typing import cast

from xdsl.dialects.builtin import AnyFloat, IndexType, IntegerAttr, MemRefType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    prop_def,
    traits_def,
)
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect

from sparsert_ir.dialects.sparsert.checks import MEMREF, check_memory, expect
from sparsert_ir.gpu_facts import ASYNC_COPY_BYTES, BULK_COPY_BYTES, WORKGROUP

SIGNALS = base(MemRefType)


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
        for kind in _check_copied(self.x, self.staged):
            columns, count = kind.get_shape()[1], self.count.value.data
            expect(
                count >= 1 and columns % count == 0,
                "rows that are a multiple of the elements copied:",
                count,
                columns,
            )
        expect(
            self.byte_count in ASYNC_COPY_BYTES, "a copy of bytes", "4, 8 or 16", self.byte_count
        )


def _check_copied(x: SSAValue, staged: SSAValue) -> list[MemRefType[AnyFloat]]:
    """Verify what is copied to where; returns both types."""
    kinds = [cast(MemRefType[AnyFloat], memory.type) for memory in (x, staged)]
    for memory, kind in zip((x, staged), kinds, strict=True):
        check_memory(memory, "a copy's memory", 2)
        expect(kind.get_num_dims() == 2, "a copy's memory of rank", 2, kind)
    source, target = kinds
    element = source.element_type
    expect(element == target.element_type, "elements of type", element, target)
    expect(_space(target) == WORKGROUP, "a copy to memory space", WORKGROUP, target)
    expect(_space(source) != WORKGROUP, "a copy from a memory space other than", WORKGROUP, source)
    return kinds


def _check_signals(signals: SSAValue) -> None:
    kind = cast(MemRefType[Attribute], signals.type)
    shape = kind.get_shape()
    fits = kind.element_type == i64 and _space(kind) == WORKGROUP and len(shape) == 1
    expect(fits and shape[0] >= 1, "signals such as", "memref<2xi64, 3 : i64>", kind)


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


@irdl_op_definition
class MakeSignalsOp(IRDLOperation):
    """All threads of the block meet here; from now on the signals can be used. Once for each."""

    name = "sparsert.make_signals"

    signals = operand_def(SIGNALS)

    traits = traits_def(MemoryWriteEffect())

    assembly_format = "$signals attr-dict `:` type($signals)"

    def __init__(self, signals: SSAValue):
        super().__init__(operands=[signals])

    def verify_(self) -> None:
        _check_signals(self.signals)


@irdl_op_definition
class ExpectBytesOp(IRDLOperation):
    """One thread says how many bytes end the phase of a signal; once in a phase."""

    name = "sparsert.expect_bytes"

    signals = operand_def(SIGNALS)
    number = operand_def(IndexType)
    byte_count = operand_def(IndexType)

    traits = traits_def(MemoryWriteEffect())

    assembly_format = "$signals `[` $number `]` `,` $byte_count attr-dict `:` type($signals)"

    def __init__(self, signals: SSAValue, number: SSAValue, byte_count: SSAValue):
        super().__init__(operands=[signals, number, byte_count])

    def verify_(self) -> None:
        _check_signals(self.signals)


@irdl_op_definition
class BulkCopyOp(IRDLOperation):
    """Each thread that is here starts to copy `count` adjacent elements of a row of `x` to a row of
    `staged`; a signal counts the bytes, a multiple of 16 that lie on multiples of 16 in both.
    """

    name = "sparsert.bulk_copy"

    x = operand_def(MEMREF)
    row = operand_def(IndexType)
    column = operand_def(IndexType)
    staged = operand_def(MEMREF)
    slot = operand_def(IndexType)
    place = operand_def(IndexType)
    count = operand_def(IndexType)
    signals = operand_def(SIGNALS)
    number = operand_def(IndexType)

    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    assembly_format = (
        "$x `[` $row `,` $column `]` `to` $staged `[` $slot `,` $place `]` `x` $count"
        " `signal` $signals `[` $number `]` attr-dict"
        " `:` type($x) `->` type($staged) `,` type($signals)"
    )

    def __init__(
        self,
        x: SSAValue,
        source: tuple[SSAValue, SSAValue],
        staged: SSAValue,
        target: tuple[SSAValue, SSAValue],
        count: SSAValue,
        signals: SSAValue,
        number: SSAValue,
    ):
        super().__init__(operands=[x, *source, staged, *target, count, signals, number])

    def verify_(self) -> None:
        _check_signals(self.signals)
        for kind in _check_copied(self.x, self.staged):
            size = kind.get_shape()[1] * kind.element_type.bitwidth // 8
            whole = size % BULK_COPY_BYTES == 0
            expect(whole, "rows of bytes that are a multiple of", BULK_COPY_BYTES, size)


@irdl_op_definition
class AwaitBytesOp(IRDLOperation):
    """Wait for the end of the phase of a signal that has the `parity` of its number, from 0 on."""

    name = "sparsert.await_bytes"

    signals = operand_def(SIGNALS)
    number = operand_def(IndexType)
    parity = operand_def(IndexType)

    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    assembly_format = "$signals `[` $number `]` `parity` $parity attr-dict `:` type($signals)"

    def __init__(self, signals: SSAValue, number: SSAValue, parity: SSAValue):
        super().__init__(operands=[signals, number, parity])

    def verify_(self) -> None:
        _check_signals(self.signals)
