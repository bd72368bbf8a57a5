"""sparsert-fuse-epilogue: pull bias, ReLU and residual into the product that feeds them."""

from typing import Any, cast

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
    Conv2dOp,
    Product,
    ReluOp,
    ResidualAddOp,
    SpmmOp,
)


def _only_product(value: SSAValue) -> Product | None:
    """The product that makes `value`, if nothing else uses it."""
    producer = value.owner
    return producer if isinstance(producer, SpmmOp | Conv2dOp) and value.has_one_use() else None


def _with(product: Product, **changes: Any) -> Product:
    """The same product with some parts of its epilogue changed."""
    epilogue: dict[str, Any] = {
        "bias": product.bias,
        "activation": product.activation,
        "residual": product.residual,
        "residual_after_activation": product.residual_after_activation is not None,
        "schedule": product.schedule,
        **changes,
    }
    if isinstance(product, Conv2dOp):
        return Conv2dOp(product.weight, product.x, product.window, **epilogue)
    return SpmmOp(product.weight, product.x, **epilogue)


def _channel_axis(product: Product) -> int:
    """The dimension of the result along which the rows of the weight lie."""
    return product.window.data.channel_axis if isinstance(product, Conv2dOp) else 0


def _constant(value: SSAValue) -> Dense | None:
    owner = value.owner
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, DenseIntOrFPElementsAttr):
        return cast(Dense, owner.value)
    return None


class FuseBias(RewritePattern):
    """bias_add(product(w, x), b) == product(w, x) bias b"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: BiasAddOp, rewriter: PatternRewriter) -> None:
        product, bias = _only_product(op.input), _constant(op.bias)
        if product is None or bias is None or op.dimension != _channel_axis(product):
            return
        if product.bias or product.activation or product.residual:
            return
        rewriter.replace(op, _with(product, bias=bias))
        rewriter.erase(product)


class FuseRelu(RewritePattern):
    """relu(product(w, x) ...) == product(w, x) ... activation relu"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReluOp, rewriter: PatternRewriter) -> None:
        product = _only_product(op.input)
        if product is None or product.activation or product.residual_after_activation:
            return
        rewriter.replace(op, _with(product, activation=ActivationAttr(Activation.RELU)))
        rewriter.erase(product)


class FuseResidual(RewritePattern):
    """residual_add(product(w, x) ..., r) == product(w, x) ... residual r"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ResidualAddOp, rewriter: PatternRewriter) -> None:
        product, residual = _only_product(op.input), op.residual
        if product is None:
            product, residual = _only_product(op.residual), op.input
        if product is None or product.residual:
            return
        after = product.activation is not None
        fused = _with(product, residual=residual, residual_after_activation=after)
        rewriter.replace(op, fused)
        rewriter.erase(product)


class FuseEpilogue(ModulePass):
    """Fold `bias_add` of a constant, `relu` and `residual_add` into the product before
    them.

    Requires: nothing.
    Guarantees: an epilogue op is left only where the order of additions and activation differs from
    the fused one, where the product has a bias, ReLU or residual already, where the bias is not
    constant, or where the product has other uses.
    """

    name = "sparsert-fuse-epilogue"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        patterns = GreedyRewritePatternApplier([FuseBias(), FuseRelu(), FuseResidual()])
        PatternRewriteWalker(patterns).rewrite_module(op)
