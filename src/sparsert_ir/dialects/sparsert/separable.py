"""A depthwise convolution and the pointwise one after it as one operation of the tensor level."""

from typing import TypeAlias, Unpack, cast

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
)

from sparsert_ir.dense import Array, Dense, row_numbers
from sparsert_ir.dialects.sparsert.attributes import ActivationAttr, WindowAttr
from sparsert_ir.dialects.sparsert.checks import DENSE, TENSOR, expect
from sparsert_ir.dialects.sparsert.tensor import (
    EPILOGUE_FORMAT,
    ConstantOp,
    Conv2dOp,
    Epilogue,
    SparseProductOp,
    SpmmOp,
    check_epilogue,
    check_product,
    epilogue_properties,
    image_type,
)
from sparsert_ir.window import Window

DEPTHWISE_FORMAT = (
    " (`depthwise_bias` $depthwise_bias^)? (`depthwise_activation` $depthwise_activation^)?"
)


def is_depthwise(indices: Array, row_of_nonzero: Array, rows: int, window: Window) -> bool:
    """Whether each row of a filter's matrix has nonzeros in one channel only, its own: with m rows
    per channel row r in channel r // m.
    """
    if rows % window.channels:
        return False
    channel, _, _ = window.taps(indices)
    return bool((channel == row_of_nonzero // (rows // window.channels)).all())


def check_separable(
    depthwise: SSAValue,
    weight: SSAValue,
    x: SSAValue,
    window: WindowAttr,
    bias: Dense | None,
    result: Attribute,
) -> None:
    """Verify what a fused convolution and its tiled form have in common."""
    first = cast(TensorType[Attribute], depthwise.type)
    second = cast(TensorType[Attribute], weight.type)
    between = image_type(first, window)
    check_product(first, cast(TensorType[Attribute], x.type), between, window)
    rows = first.get_shape()[0]
    pointwise = WindowAttr(window.data.result(rows))
    check_product(second, between, result, pointwise)
    check_epilogue(bias, None, rows, between)
    if isinstance(depthwise.owner, ConstantOp):
        offsets, indices, _ = depthwise.owner.arrays()
        alone = is_depthwise(indices, row_numbers(offsets), rows, window.data)
        expect(alone, "a depthwise filter, whose rows meet", "one channel each", "more")


@irdl_op_definition
class SeparableConv2dOp(SparseProductOp):
    """`sparsert.conv2d` of `depthwise` with a window, its bias and activation, and a pointwise
    `sparsert.conv2d` of `weight` on the result, with the usual epilogue: a block of MobileNet.

    What is between has the element type of the sums, which the schedule decides.
    """

    name = "sparsert.separable_conv2d"

    depthwise = operand_def(TENSOR)
    window = prop_def(WindowAttr)
    depthwise_bias = opt_prop_def(DENSE)
    depthwise_activation = opt_prop_def(ActivationAttr)

    assembly_format = (
        "$depthwise `,` $weight `,` $x `window` $window"
        + DEPTHWISE_FORMAT
        + EPILOGUE_FORMAT
        + " (`schedule` $schedule^)? attr-dict"
        " `:` type($depthwise) `,` type($weight) `,` type($x) `->` type($result)"
    )

    def __init__(
        self,
        depthwise: SSAValue | Operation,
        weight: SSAValue | Operation,
        x: SSAValue | Operation,
        window: WindowAttr,
        *,
        depthwise_bias: Dense | None = None,
        depthwise_activation: ActivationAttr | None = None,
        **epilogue: Unpack[Epilogue],
    ):
        weight = SSAValue.get(weight)
        weight_type = cast(TensorType[Attribute], weight.type)
        super().__init__(
            operands=[depthwise, weight, x, epilogue.get("residual")],
            properties={
                "window": window,
                "depthwise_bias": depthwise_bias,
                "depthwise_activation": depthwise_activation,
                **epilogue_properties(epilogue),
            },
            result_types=[image_type(weight_type, window)],
        )

    def verify_(self) -> None:
        check_separable(
            self.depthwise, self.weight, self.x, self.window, self.depthwise_bias, self.result.type
        )
        self.check_epilogue()


Untiled: TypeAlias = SpmmOp | Conv2dOp | SeparableConv2dOp
"""Whatever becomes a `tiled_spmm`."""
