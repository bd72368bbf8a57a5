"""Pointer level of the `sparsert` dialect: the thread level on `!llvm.ptr`, ready for LLVM IR text.

All offsets are in elements of the memory's element type and relative to a pointer that already
points at the thread's first column.
"""

from collections.abc import Sequence

from xdsl.dialects.builtin import Float16Type, Float32Type, Float64Type, IntegerAttr, UnitAttr, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect

from sparsert_ir.dialects.sparsert.attributes import ActivationAttr
from sparsert_ir.dialects.sparsert.checks import (
    DENSE,
    LANE,
    POINTER,
    check_element_type,
    check_float_elements,
    check_lanes,
    check_positive,
    expect,
)
from sparsert_ir.dialects.sparsert.thread import check_run

_FLOAT = base(Float16Type) | base(Float32Type) | base(Float64Type)


@irdl_op_definition
class PtrAccumulateOp(IRDLOperation):
    """`sparsert.accumulate` on a pointer: `sums[rows[i]] += values[i] * x[offsets[i] + lane...]`.

    With two pointers the lane's two columns are loaded one by one, the second from the second
    pointer: a pair of f16 whose address is not a multiple of its size, or whose second column lies
    past the end (the pointer then repeats the last column).
    `invariant` says that nothing writes x while the kernel runs.
    """

    name = "sparsert.ptr_accumulate"

    x = var_operand_def(POINTER)
    element_type = prop_def(_FLOAT)
    offsets = prop_def(DENSE)
    rows = prop_def(DENSE)
    values = prop_def(DENSE)
    fold = opt_prop_def(IntegerAttr.constr(i64))
    invariant = opt_prop_def(UnitAttr)
    sums = var_result_def(LANE)

    traits = traits_def(MemoryReadEffect())

    assembly_format = (
        "$x (`invariant` $invariant^)? (`fold` $fold^)? $element_type `offsets` $offsets"
        " `rows` $rows `values` $values attr-dict `:` type($x) `->` type($sums)"
    )

    def __init__(
        self,
        x: Sequence[SSAValue],
        lanes: Sequence[Attribute],
        properties: dict[str, Attribute | None],
    ):
        super().__init__(operands=[x], properties=properties, result_types=[lanes])

    def verify_(self) -> None:
        expect(len(self.x) in (1, 2), "pointers, in number,", "1 or 2", len(self.x))
        check_positive(self.fold, "fold")
        check_run(self.offsets, self.rows, self.values, len(self.sums))
        check_lanes(self.sums)


@irdl_op_definition
class PtrWriteRowsOp(IRDLOperation):
    """`sparsert.write_rows` on pointers: sum r goes to `y[offsets[r] + lane...]` (-1: nowhere).

    `second` guards the second column of a pair that is stored column by column.
    """

    name = "sparsert.ptr_write_rows"

    y = operand_def(POINTER)
    residual = opt_operand_def(POINTER)
    second = opt_operand_def()
    sums = var_operand_def(LANE)
    element_type = prop_def(_FLOAT)
    offsets = prop_def(DENSE)
    bias = opt_prop_def(DENSE)
    activation = opt_prop_def(ActivationAttr)
    residual_after_activation = opt_prop_def(UnitAttr)
    streaming = opt_prop_def(UnitAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    assembly_format = (
        "$sums `to` $y $element_type `offsets` $offsets (`bias` $bias^)?"
        " (`activation` $activation^)? (`residual` $residual^ `:` type($residual))?"
        " (`residual_after_activation` $residual_after_activation^)? (`streaming` $streaming^)?"
        " (`second` $second^ `:` type($second))? attr-dict `:` type($sums) `->` type($y)"
    )

    def __init__(
        self,
        sums: Sequence[SSAValue],
        y: SSAValue,
        residual: SSAValue | None,
        second: SSAValue | None,
        properties: dict[str, Attribute | None],
    ):
        super().__init__(operands=[y, residual, second, sums], properties=properties)

    def verify_(self) -> None:
        count = (len(self.sums),)
        check_element_type(self.offsets, "offsets")
        check_float_elements(self.bias, "bias")
        expect(
            self.offsets.get_shape() == count, "offsets of shape", count, self.offsets.get_shape()
        )
        check_lanes(self.sums)
