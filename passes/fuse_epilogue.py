"""sparsert-fuse-epilogue: pull bias, ReLU and residual into the product that feeds them."""

from typing import cast

from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from sparsert_ir.dense import Dense
from sparsert_ir.dialects.sparsert import (
    Activation,
    ActivationAttr,
    BiasAddOp,
    ReluOp,
    ResidualAddOp,
    SpmmOp,
)


def _only_product(value: SSAValue) -> SpmmOp | None:
    """The `spmm` that makes `value`, if nothing else uses it."""
    producer = value.owner
    return producer if isinstance(producer, SpmmOp) and value.has_one_use() else None


def _constant(value: SSAValue) -> Dense | None:
    owner = value.owner
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, DenseIntOrFPElementsAttr):
        return cast(Dense, owner.value)
    return None


class FuseBias(RewritePattern):
    """bias_add(spmm(w, x), b) == spmm(w, x) bias b"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: BiasAddOp, rewriter: PatternRewriter) -> None:
        spmm, bias = _only_product(op.input), _constant(op.bias)
        if spmm is None or bias is None:
            return
        if spmm.bias or spmm.activation or spmm.residual:
            return
        rewriter.replace(op, SpmmOp(spmm.weight, spmm.x, bias=bias, schedule=spmm.schedule))
        rewriter.erase(spmm)


class FuseRelu(RewritePattern):
    """relu(spmm(w, x) ...) == spmm(w, x) ... activation relu"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReluOp, rewriter: PatternRewriter) -> None:
        spmm = _only_product(op.input)
        if spmm is None or spmm.activation or spmm.residual_after_activation:
            return
        fused = SpmmOp(
            spmm.weight,
            spmm.x,
            bias=spmm.bias,
            activation=ActivationAttr(Activation.RELU),
            residual=spmm.residual,
            schedule=spmm.schedule,
        )
        rewriter.replace(op, fused)
        rewriter.erase(spmm)


class FuseResidual(RewritePattern):
    """residual_add(spmm(w, x) ..., r) == spmm(w, x) ... residual r"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ResidualAddOp, rewriter: PatternRewriter) -> None:
        spmm, residual = _only_product(op.input), op.residual
        if spmm is None:
            spmm, residual = _only_product(op.residual), op.input
        if spmm is None or spmm.residual:
            return
        fused = SpmmOp(
            spmm.weight,
            spmm.x,
            bias=spmm.bias,
            activation=spmm.activation,
            residual=residual,
            residual_after_activation=spmm.activation is not None,
            schedule=spmm.schedule,
        )
        rewriter.replace(op, fused)
        rewriter.erase(spmm)


class FuseEpilogue(ModulePass):
    """Fold `bias_add` of a constant, `relu` and `residual_add` into the `spmm` before them.

    Requires: nothing.
    Guarantees: an epilogue op is left only where the order of additions and activation differs from
    the fused one, where the bias is not constant, or where the product has other uses.
    """

    name = "sparsert-fuse-epilogue"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        patterns = GreedyRewritePatternApplier([FuseBias(), FuseRelu(), FuseResidual()])
        PatternRewriteWalker(patterns).rewrite_module(op)
