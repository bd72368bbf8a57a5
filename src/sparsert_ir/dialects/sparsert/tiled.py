"""Tiled level of the `sparsert` dialect."""

from typing import cast

from xdsl.dialects.builtin import TensorType, UnitAttr
from xdsl.ir import Attribute
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure

from sparsert_ir.dense import Dense
from sparsert_ir.dialects.sparsert.attributes import ActivationAttr, ScheduleAttr, WindowAttr
from sparsert_ir.dialects.sparsert.checks import DENSE, TENSOR, check_tiling, expect
from sparsert_ir.dialects.sparsert.separable import (
    DEPTHWISE_FORMAT,
    SeparableConv2dOp,
    Untiled,
    check_separable,
)
from sparsert_ir.dialects.sparsert.tensor import (
    EPILOGUE_FORMAT,
    OPERANDS_FORMAT,
    SpmmOp,
    check_epilogue,
    check_product,
)


@irdl_op_definition
class TiledSpmmOp(IRDLOperation):
    """A product with its rows dealt to panels and each panel's columns to K groups.

    With a window x and the result are batches of images, as for `sparsert.conv2d`; with a depthwise
    filter, too, as for `sparsert.separable_conv2d`.

    panels: P x R row numbers, the rows of each panel, filled up with -1; every row stands once.
    splits: P x (G + 1) column numbers; K group g of panel p covers the columns from splits[p][g]
            up to, but not including, splits[p][g + 1].
    """

    name = "sparsert.tiled_spmm"

    weight = operand_def(TENSOR)
    x = operand_def(TENSOR)
    depthwise = opt_operand_def(TENSOR)
    residual = opt_operand_def(TENSOR)
    window = opt_prop_def(WindowAttr)
    depthwise_bias = opt_prop_def(DENSE)
    depthwise_activation = opt_prop_def(ActivationAttr)
    bias = opt_prop_def(DENSE)
    activation = opt_prop_def(ActivationAttr)
    residual_after_activation = opt_prop_def(UnitAttr)
    schedule = prop_def(ScheduleAttr)
    panels = prop_def(DENSE)
    splits = prop_def(DENSE)
    result = result_def(TENSOR)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(Pure())

    assembly_format = (
        OPERANDS_FORMAT
        + " (`window` $window^)? (`depthwise` $depthwise^ `:` type($depthwise))?"
        + DEPTHWISE_FORMAT
        + EPILOGUE_FORMAT
        + " `schedule` $schedule `panels` $panels `splits` $splits attr-dict"
        " `:` type($weight) `,` type($x) `->` type($result)"
    )

    def __init__(self, product: Untiled, schedule: ScheduleAttr, panels: Dense, splits: Dense):
        fused = product if isinstance(product, SeparableConv2dOp) else None
        super().__init__(
            operands=[product.weight, product.x, fused and fused.depthwise, product.residual],
            properties={
                "window": None if isinstance(product, SpmmOp) else product.window,
                "depthwise_bias": fused and fused.depthwise_bias,
                "depthwise_activation": fused and fused.depthwise_activation,
                "bias": product.bias,
                "activation": product.activation,
                "residual_after_activation": product.residual_after_activation,
                "schedule": schedule,
                "panels": panels,
                "splits": splits,
            },
            result_types=[product.result.type],
        )

    def verify_(self) -> None:
        weight = cast(TensorType[Attribute], self.weight.type)
        x = cast(TensorType[Attribute], self.x.type)
        if self.depthwise is None:
            check_product(weight, x, self.result.type, self.window)
            fused = self.depthwise_bias or self.depthwise_activation
            expect(not fused, "depthwise_bias and depthwise_activation with", "depthwise", "none")
        else:
            expect(self.window is not None, "depthwise with", "a window", "none")
            assert self.window is not None
            check_separable(
                self.depthwise,
                self.weight,
                self.x,
                self.window,
                self.depthwise_bias,
                self.result.type,
            )
        rows, columns = weight.get_shape()
        check_epilogue(self.bias, self.residual, rows, self.result.type)
        check_tiling(self.panels, self.splits, rows, columns)
