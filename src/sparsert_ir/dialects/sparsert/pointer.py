"""Pointer level of the `sparsert` dialect: the thread level on `!llvm.ptr`, ready for LLVM IR text.

All offsets are in elements of the memory's element type and relative to a pointer that already
points at the thread's first column.
"""

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    IntegerAttr,
    IntegerType,
    UnitAttr,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect

from sparsert_ir.dense import Dense, to_numpy
from sparsert_ir.dialects.sparsert.attributes import ActivationAttr
from sparsert_ir.dialects.sparsert.checks import (
    DENSE,
    FLOAT,
    LANE,
    POINTER,
    check_element_type,
    check_float_elements,
    check_fold,
    check_initial,
    check_sums,
    check_targets,
    expect,
    lane_width,
)
from sparsert_ir.dialects.sparsert.thread import check_run


@irdl_op_definition
class PtrAccumulateOp(IRDLOperation):
    """`sparsert.accumulate` on a pointer: `sums[rows[i]] += values[i] * x[offsets[i] + lane...]`.

    With several pointers the lane's columns are loaded one by one, each from its own pointer:
    columns that are not neighbours in memory, or not aligned, or past the end (the pointer then
    repeats the last column).

    `guard_numbers` names for each multiply-add the guard of its load, -1 for none. Where the guard
    is false nothing is read and x counts as 0. `guards` holds guard g of column c at place
    g * pointers + c. `invariant` says that nothing writes x while the kernel runs.
    """

    name = "sparsert.ptr_accumulate"

    x = var_operand_def(POINTER)
    guards = var_operand_def(IntegerType(1))
    initial = var_operand_def(LANE)
    element_type = prop_def(FLOAT)
    offsets = prop_def(DENSE)
    rows = prop_def(DENSE)
    values = prop_def(DENSE)
    guard_numbers = opt_prop_def(DENSE)
    fold = opt_prop_def(IntegerAttr.constr(i64))
    invariant = opt_prop_def(UnitAttr)
    sums = var_result_def(LANE)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect())

    assembly_format = (
        "$x (`guards` $guards^ `numbers` $guard_numbers)? (`invariant` $invariant^)?"
        " (`from` $initial^ `:` type($initial))? (`fold` $fold^)? $element_type"
        " `offsets` $offsets `rows` $rows `values` $values attr-dict"
        " `:` type($x) `->` type($sums)"
    )

    def __init__(
        self,
        x: Sequence[SSAValue],
        lanes: Sequence[Attribute],
        properties: dict[str, Attribute | None],
        guards: Sequence[SSAValue] = (),
        initial: Sequence[SSAValue] = (),
    ):
        super().__init__(operands=[x, guards, initial], properties=properties, result_types=[lanes])

    def verify_(self) -> None:
        check_sums(self.sums)
        _check_pointers(self.x, lane_width(self.sums[0].type))
        check_fold(self.fold, self.element_type)
        guarded = self.guard_numbers is not None
        check_run(self.offsets, self.rows, self.values, len(self.sums), nonnegative=not guarded)
        check_initial(self.initial, self.sums)
        if self.guard_numbers is not None:
            check_guards(self.guard_numbers, self.values, len(self.guards), len(self.x))


def _check_pointers(pointers: Sequence[SSAValue], width: int) -> None:
    wanted = "1" if width == 1 else f"1 or {width}"
    expect(len(pointers) in (1, width), "pointers, in number,", wanted, len(pointers))


def check_guards(numbers: Dense, values: Dense, guard_count: int, pointer_count: int) -> None:
    """Verify the guards of a run of multiply-adds."""
    check_element_type(numbers, "guard numbers")
    expect(
        numbers.get_shape() == values.get_shape(),
        "as many guard numbers as values:",
        values.get_shape(),
        numbers.get_shape(),
    )
    lowest = int(to_numpy(numbers).min(initial=0))
    expect(lowest >= -1, "guard numbers of at least", -1, lowest)
    needed = (int(to_numpy(numbers).max(initial=-1)) + 1) * pointer_count
    expect(guard_count >= needed, "guards, in number, at least", needed, guard_count)


@irdl_op_definition
class PtrWriteRowsOp(IRDLOperation):
    """`sparsert.write_rows` on pointers: sum r goes to `y[offsets[r] + lane...]` (-1: nowhere).

    With several pointers each column of the lane is stored through its own. `second` guards the
    second column of a pair that is stored column by column. With `invariant` nothing writes the
    residual while the kernel runs.
    """

    name = "sparsert.ptr_write_rows"

    y = var_operand_def(POINTER)
    residual = var_operand_def(POINTER)
    second = opt_operand_def(IntegerType(1))
    sums = var_operand_def(LANE)
    element_type = prop_def(FLOAT)
    offsets = prop_def(DENSE)
    bias = opt_prop_def(DENSE)
    activation = opt_prop_def(ActivationAttr)
    residual_after_activation = opt_prop_def(UnitAttr)
    invariant = opt_prop_def(UnitAttr)
    streaming = opt_prop_def(UnitAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    assembly_format = (
        "$sums `to` $y $element_type `offsets` $offsets (`bias` $bias^)?"
        " (`activation` $activation^)? (`residual` $residual^ `:` type($residual))?"
        " (`residual_after_activation` $residual_after_activation^)? (`invariant` $invariant^)?"
        " (`streaming` $streaming^)?"
        " (`second` $second^)? attr-dict `:` type($sums) `->` type($y)"
    )

    def __init__(
        self,
        sums: Sequence[SSAValue],
        y: Sequence[SSAValue],
        residual: Sequence[SSAValue],
        second: SSAValue | None,
        properties: dict[str, Attribute | None],
    ):
        super().__init__(operands=[y, residual, second, sums], properties=properties)

    def verify_(self) -> None:
        count = (len(self.sums),)
        check_targets(self.offsets, "offsets")
        check_float_elements(self.bias, "bias")
        for numbers, what in ((self.offsets, "offsets"), (self.bias, "bias")):
            if numbers is not None:
                shape = numbers.get_shape()
                expect(shape == count, f"{what} of shape", count, shape)
        check_sums(self.sums)
        _check_pointers(self.y, lane_width(self.sums[0].type))
        if self.residual:
            expect(
                len(self.residual) == len(self.y),
                "as many pointers to the residual as to y:",
                len(self.y),
                len(self.residual),
            )
