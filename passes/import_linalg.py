"""sparsert-import-linalg: raise linalg ops with a constant weight to the sparsert dialect."""

from typing import cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import (
    AnyFloat,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    ModuleOp,
    TensorType,
)
from xdsl.dialects.linalg import ops as linalg
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from sparsert_ir.dense import Dense, numpy_dtype, to_numpy
from sparsert_ir.dialects.sparsert import BiasAddOp, ConstantOp, ReluOp, ResidualAddOp, SpmmOp
from sparsert_ir.errors import MatrixError
from sparsert_ir.frontend import constant_of
from sparsert_ir.matrix import SparseMatrix

_IDENTITY = AffineMap.from_callable(lambda i, j: (i, j))
_BY_ROW = AffineMap.from_callable(lambda i, _: (i,))


def _constant(value: SSAValue) -> Dense | None:
    """The elements of a dense `arith.constant`."""
    owner = value.owner
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, DenseIntOrFPElementsAttr):
        return cast(Dense, owner.value)
    return None


def _is_zero(value: SSAValue) -> bool:
    """Whether a scalar or tensor value is known to be 0 everywhere."""
    owner = value.owner
    if isinstance(owner, linalg.FillOp):
        return _is_zero(owner.inputs[0])
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, FloatAttr):
        return owner.value.value.data == 0.0
    dense = _constant(value)
    return dense is not None and not np.any(to_numpy(dense))


def _is_product(value: SSAValue) -> bool:
    """Whether a value comes from a sparse product through epilogue ops only."""
    owner = value.owner
    if isinstance(owner, BiasAddOp | ReluOp | ResidualAddOp):
        return _is_product(owner.input)
    return isinstance(owner, SpmmOp)


def _weight(value: SSAValue, rewriter: PatternRewriter) -> SSAValue | None:
    """The matrix behind a matmul's left operand as a `sparsert.constant`, or None."""
    if isinstance(value.owner, ConstantOp):
        return value
    dense = _constant(value)
    kind = cast(TensorType[Attribute], value.type)
    if dense is None or not isinstance(kind.element_type, AnyFloat):
        return None
    try:
        matrix = SparseMatrix.of(to_numpy(dense), numpy_dtype(kind.element_type))
    except (MatrixError, KeyError):
        return None
    constant = constant_of(matrix)
    rewriter.insert(constant)
    return constant.result


class RaiseMatmul(RewritePattern):
    """linalg.matmul(constant w, x) into zeros == spmm(w, x)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: linalg.MatmulOp, rewriter: PatternRewriter) -> None:
        if not op.results or not _is_zero(op.outputs[0]):
            return
        if list(op.get_default_indexing_maps()) != list(_matmul_maps()):
            return
        weight = _weight(op.inputs[0], rewriter)
        if weight is not None:
            rewriter.replace(op, SpmmOp(weight, op.inputs[1]))


def _matmul_maps() -> tuple[AffineMap, ...]:
    return (
        AffineMap.from_callable(lambda i, _, k: (i, k)),
        AffineMap.from_callable(lambda _, j, k: (k, j)),
        AffineMap.from_callable(lambda i, j, _: (i, j)),
    )


class RaiseAdd(RewritePattern):
    """linalg.add(product, broadcast b) == bias_add; linalg.add(product, r) == residual_add"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: linalg.AddOp, rewriter: PatternRewriter) -> None:
        left, right = op.inputs
        if not _is_product(left):
            left, right = right, left
        if not _is_product(left) or not op.results:
            return
        bias = _broadcast_by_row(right)
        raised = ResidualAddOp(left, right) if bias is None else BiasAddOp(left, bias)
        rewriter.replace(op, raised)


def _broadcast_by_row(value: SSAValue) -> SSAValue | None:
    owner = value.owner
    if isinstance(owner, linalg.BroadcastOp) and list(owner.dimensions.get_values()) == [1]:
        return owner.input
    return None


class RaiseMax(RewritePattern):
    """linalg.max(product, zeros) == relu"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: linalg.MaxOp, rewriter: PatternRewriter) -> None:
        left, right = op.inputs
        if _is_zero(left):
            left, right = right, left
        if op.results and _is_product(left) and _is_zero(right):
            rewriter.replace(op, ReluOp(left))


class RaiseGeneric(RewritePattern):
    """linalg.generic whose body adds a bias by row, adds a tensor, or takes the maximum with 0"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: linalg.GenericOp, rewriter: PatternRewriter) -> None:
        if len(op.results) != 1 or not op.inputs or not _is_product(op.inputs[0]):
            return
        maps = [indexing_map.data for indexing_map in op.indexing_maps]
        if maps[0] != _IDENTITY or maps[-1] != _IDENTITY:
            return
        raised = _raise_binary(op, maps) if len(op.inputs) == 2 else _raise_unary(op)
        if raised is not None:
            rewriter.replace(op, raised)


def _raise_binary(op: linalg.GenericOp, maps: list[AffineMap]) -> Operation | None:
    if not _body_is(op.body.block, arith.AddfOp, set(op.body.block.args[:2])):
        return None
    if maps[1] == _BY_ROW:
        return BiasAddOp(op.inputs[0], op.inputs[1])
    return ResidualAddOp(op.inputs[0], op.inputs[1]) if maps[1] == _IDENTITY else None


def _raise_unary(op: linalg.GenericOp) -> Operation | None:
    block = op.body.block
    body = [inner for inner in block.ops if not isinstance(inner, arith.ConstantOp)]
    if len(op.inputs) != 1 or len(body) != 2 or not isinstance(body[0], arith.MaximumfOp):
        return None
    operands = set(body[0].operands)
    if list(cast(Operation, block.last_op).operands) != [body[0].result]:
        return None
    zeros = [value for value in operands if _is_zero(value)]
    return ReluOp(op.inputs[0]) if zeros and block.args[0] in operands else None


def _body_is(block: Block, kind: type[Operation], operands: set[SSAValue]) -> bool:
    """Whether the block yields one op of that kind on those operands."""
    ops = list(block.ops)
    if len(ops) != 2 or not isinstance(ops[0], kind) or set(ops[0].operands) != operands:
        return False
    return list(ops[1].operands) == [ops[0].results[0]]


class ImportLinalg(ModulePass):
    """Raise `linalg.matmul` with a constant weight (a dense constant, or a `sparsert.constant`) to
    `sparsert.spmm`, and the bias add, ReLU and residual add after it to their sparsert ops.

    Understood: `linalg.add` (with `linalg.broadcast` along the columns for a bias), `linalg.max`
    with zeros, and `linalg.generic` of the same meaning, all on tensors.

    Requires: nothing.
    Guarantees: what it does not understand stays as it was; values are not changed.
    """

    name = "sparsert-import-linalg"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        patterns: list[RewritePattern] = [RaiseMatmul(), RaiseAdd(), RaiseMax(), RaiseGeneric()]
        PatternRewriteWalker(GreedyRewritePatternApplier(patterns)).rewrite_module(op)
        _erase_unused(op)


_LEFTOVERS = (arith.ConstantOp, linalg.FillOp, linalg.BroadcastOp, tensor.EmptyOp)


def _erase_unused(module: ModuleOp) -> None:
    """Drop initial values and constants that nothing uses any more, users first."""
    for op in reversed(list(module.walk())):
        if isinstance(op, _LEFTOVERS) and not any(result.first_use for result in op.results):
            op.detach()
            op.erase()
