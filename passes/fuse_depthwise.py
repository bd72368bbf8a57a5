"""sparsert-fuse-depthwise: a depthwise convolution and the pointwise one after it become one."""

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from sparsert_ir.dense import row_numbers
from sparsert_ir.dialects.sparsert import ConstantOp, Conv2dOp, SeparableConv2dOp, is_depthwise


class FusePair(RewritePattern):
    """conv2d(w, conv2d(d, x)) == separable_conv2d(d, w, x), d depthwise and w pointwise"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: Conv2dOp, rewriter: PatternRewriter) -> None:
        first = _only_depthwise(op.x)
        if first is None or not op.window.data.is_pointwise:
            return
        fused = SeparableConv2dOp(
            first.weight,
            op.weight,
            first.x,
            first.window,
            depthwise_bias=first.bias,
            depthwise_activation=first.activation,
            bias=op.bias,
            activation=op.activation,
            residual=op.residual,
            residual_after_activation=op.residual_after_activation is not None,
            schedule=op.schedule,
        )
        rewriter.replace(op, fused)
        rewriter.erase(first)


def _only_depthwise(value: SSAValue) -> Conv2dOp | None:
    """The depthwise convolution that makes `value`, if nothing else uses it and nothing is added to
    its result.
    """
    op = value.owner
    if not isinstance(op, Conv2dOp) or not value.has_one_use() or op.residual is not None:
        return None
    if not isinstance(op.weight.owner, ConstantOp):
        return None
    offsets, indices, _ = op.weight.owner.arrays()
    rows = op.weight.owner.shape[0]
    alone = is_depthwise(indices, row_numbers(offsets), rows, op.window.data)
    return op if alone else None


class FuseDepthwise(ModulePass):
    """Fuse a `conv2d` whose filter is depthwise, with its bias and activation, into the `conv2d` of
    a 1x1 filter without strides and padding that alone uses its result. One kernel then computes
    both, and what is between stays in memory close to the threads. The second one's schedule stays.

    Whether that is faster depends on the layer; here every such pair is fused.

    Requires: fused epilogues (`sparsert-fuse-epilogue`); filters made by `sparsert.constant`.
    Guarantees: no such pair is left.
    """

    name = "sparsert-fuse-depthwise"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(FusePair()).rewrite_module(op)
