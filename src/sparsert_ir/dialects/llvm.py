"""xDSL's `llvm` dialect and the operations that it lacks."""

from typing import ClassVar, cast

from xdsl.dialects.builtin import IntegerType, VectorType
from xdsl.dialects.llvm import LLVM
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    VarConstraint,
    base,
    irdl_op_definition,
    operand_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class ExtractElementOp(IRDLOperation):
    """One element of a vector."""

    name = "llvm.extractelement"

    vector = operand_def(base(VectorType))
    position = operand_def(base(IntegerType))
    result = result_def()

    traits = traits_def(Pure())

    assembly_format = (
        "$vector `[` $position `:` type($position) `]` attr-dict"
        " `:` type($vector) `->` type($result)"
    )

    def __init__(self, vector: SSAValue, position: SSAValue):
        element = cast(VectorType[Attribute], vector.type).element_type
        super().__init__(operands=[vector, position], result_types=[element])

    def verify_(self) -> None:
        element = cast(VectorType[Attribute], self.vector.type).element_type
        if self.result.type != element:
            raise VerifyException(f"expected a result of type {element}, got {self.result.type}")


@irdl_op_definition
class FreezeOp(IRDLOperation):
    """The value itself, fixed where it was poison: https://llvm.org/docs/LangRef.html#i-freeze

    LLVM does not look through it, so what is frozen is computed once and not again for each use.
    """

    name = "llvm.freeze"

    T: ClassVar = VarConstraint("T", AnyAttr())

    value = operand_def(T)
    result = result_def(T)

    traits = traits_def(Pure())

    assembly_format = "$value attr-dict `:` type($value)"

    def __init__(self, value: SSAValue):
        super().__init__(operands=[value], result_types=[value.type])


Llvm = Dialect("llvm", [*LLVM.operations, ExtractElementOp, FreezeOp], list(LLVM.attributes))
