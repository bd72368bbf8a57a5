"""sparsert-import-linalg: raise linalg ops with a constant weight to the sparsert dialect."""

from collections.abc import Sequence
from typing import TypeAlias, cast

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

from sparsert_ir.convolution import filter_matrix
from sparsert_ir.dense import Dense, numpy_dtype, to_numpy
from sparsert_ir.dialects.sparsert import (
    BiasAddOp,
    ConstantOp,
    Conv2dOp,
    ReluOp,
    ResidualAddOp,
    SpmmOp,
    WindowAttr,
)
from sparsert_ir.errors import ArgumentError, MatrixError
from sparsert_ir.frontend import constant_of
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.window import Window

Convolution: TypeAlias = linalg.Conv2DNchwFchwOp | linalg.Conv2DNhwc_HwcfOp


def _constant(value: SSAValue) -> Dense | None:
    """The elements of a dense `arith.constant` of floats."""
    owner = value.owner
    if not isinstance(owner, arith.ConstantOp):
        return None
    if not isinstance(owner.value, DenseIntOrFPElementsAttr):
        return None
    dense = cast(Dense, owner.value)
    return dense if isinstance(dense.get_element_type(), AnyFloat) else None


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
    return isinstance(owner, SpmmOp | Conv2dOp)


def _channel_axis(value: SSAValue) -> int:
    """The dimension of a product's result along which the rows of its weight lie."""
    owner = value.owner
    if isinstance(owner, BiasAddOp | ReluOp | ResidualAddOp):
        return _channel_axis(owner.input)
    return owner.window.data.channel_axis if isinstance(owner, Conv2dOp) else 0


def _weight(value: SSAValue) -> ConstantOp | None:
    """The matrix behind a matmul's left operand as a `sparsert.constant`, or None."""
    if isinstance(value.owner, ConstantOp):
        return value.owner
    dense = _constant(value)
    if dense is None:
        return None
    kind = cast(TensorType[Attribute], value.type)
    try:
        matrix = SparseMatrix.of(to_numpy(dense), numpy_dtype(kind.element_type))
    except _NOT_A_WEIGHT:
        return None
    return constant_of(matrix)


_NOT_A_WEIGHT = (MatrixError, ArgumentError, KeyError)
"""What numbers, or their element type, that no layer has are refused with."""


def _is_dense(x: SSAValue, element_type: Attribute) -> bool:
    """Whether it is of known size, not empty, and holds such elements."""
    kind = cast(TensorType[Attribute], x.type)
    plain = TensorType(element_type, kind.get_shape())
    return kind == plain and min(kind.get_shape(), default=0) >= 1


def _replace(rewriter: PatternRewriter, op: Operation, new: Sequence[Operation]) -> None:
    """Replace `op` by the last of `new`; those of them that are not in the IR yet go before it.

    Nothing happens where the results differ in type: then `op` is malformed, which xDSL does not
    verify for every linalg op.
    """
    made = [one for one in new if one.parent is None]
    if new[-1].results[0].type == op.results[0].type:
        rewriter.insert(made[:-1])
        rewriter.replace(op, made[-1])
        return
    for one in reversed(made):
        one.erase()


class RaiseMatmul(RewritePattern):
    """linalg.matmul(constant w, x) into zeros == spmm(w, x)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: linalg.MatmulOp, rewriter: PatternRewriter) -> None:
        if not op.results or not _is_zero(op.outputs[0]):
            return
        if list(op.get_default_indexing_maps()) != list(_matmul_maps()):
            return
        weight, x = _weight(op.inputs[0]), op.inputs[1]
        if weight is not None and _is_dense(x, weight.result.type.element_type):
            _replace(rewriter, op, [weight, SpmmOp(weight, x)])


def _matmul_maps() -> tuple[AffineMap, ...]:
    return (
        AffineMap.from_callable(lambda i, _, k: (i, k)),
        AffineMap.from_callable(lambda _, j, k: (k, j)),
        AffineMap.from_callable(lambda i, j, _: (i, j)),
    )


class RaiseConvolution(RewritePattern):
    """linalg.conv_2d_*(x, constant w) into zeros == conv2d(w, x)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: Convolution, rewriter: PatternRewriter) -> None:
        x, filters = op.inputs
        dense = _constant(filters)
        if dense is None or not op.results or not _is_zero(op.outputs[0]):
            return
        kind = cast(TensorType[Attribute], filters.type).element_type
        by_channel = isinstance(op, linalg.Conv2DNchwFchwOp)
        weight = to_numpy(dense) if by_channel else to_numpy(dense).transpose(3, 2, 0, 1)
        source, padding = _unpadded(x, "nchw" if by_channel else "nhwc")
        if not _is_dense(source, kind):
            return
        try:
            window = _window(op, source, weight.shape[2:], padding)
            matrix, _ = filter_matrix(weight, 1, numpy_dtype(kind))
        except _NOT_A_WEIGHT:
            return
        constant = constant_of(matrix)
        _replace(rewriter, op, [constant, Conv2dOp(constant, source, WindowAttr(window))])


def _window(
    op: Convolution, x: SSAValue, kernel: Sequence[int], padding: tuple[int, int, int, int]
) -> Window:
    layout = "nchw" if isinstance(op, linalg.Conv2DNchwFchwOp) else "nhwc"
    shape = cast(TensorType[Attribute], x.type).get_shape()
    batch, channels, height, width = shape
    if layout == "nhwc":
        batch, height, width, channels = shape
    sy, sx = (int(stride) for stride in op.strides.get_values())
    dy, dx = (int(step) for step in op.dilations.get_values())
    return Window(
        batch=batch,
        channels=channels,
        image=(height, width),
        kernel=(kernel[0], kernel[1]),
        strides=(sy, sx),
        padding=padding,
        dilation=(dy, dx),
        layout=layout,
    )


def _unpadded(x: SSAValue, layout: str) -> tuple[SSAValue, tuple[int, int, int, int]]:
    """The images before a `tensor.pad` with zeros, and what it adds (top, left, bottom, right)."""
    none, pad = (0, 0, 0, 0), x.owner
    if not isinstance(pad, tensor.PadOp) or pad.low or pad.high:
        return x, none
    low, high = list(pad.static_low.get_values()), list(pad.static_high.get_values())
    y, right = (2, 3) if layout == "nchw" else (1, 2)
    others = [axis for axis in range(len(low)) if axis not in (y, right)]
    if any(low[axis] or high[axis] for axis in others) or min(*low, *high) < 0:
        return x, none
    yielded = pad.region.block.last_op
    if yielded is None or not _is_zero(yielded.operands[0]):
        return x, none
    return pad.source, (low[y], low[right], high[y], high[right])


class RaiseAdd(RewritePattern):
    """linalg.add(product, broadcast b) == bias_add; linalg.add(product, r) == residual_add"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: linalg.AddOp, rewriter: PatternRewriter) -> None:
        left, right = op.inputs
        if not _is_product(left):
            left, right = right, left
        if not _is_product(left) or not op.results:
            return
        axis = _channel_axis(left)
        bias = _broadcast_along(right, axis)
        if bias is not None:
            _replace(rewriter, op, [BiasAddOp(left, bias, axis)])
        elif left.type == right.type:
            _replace(rewriter, op, [ResidualAddOp(left, right)])


def _broadcast_along(value: SSAValue, axis: int) -> SSAValue | None:
    """The vector that `value` repeats in every dimension but `axis`."""
    owner = value.owner
    if not isinstance(owner, linalg.BroadcastOp):
        return None
    rank = cast(TensorType[Attribute], value.type).get_num_dims()
    others = [dimension for dimension in range(rank) if dimension != axis]
    return owner.input if list(owner.dimensions.get_values()) == others else None


class RaiseMax(RewritePattern):
    """linalg.max(product, zeros) == relu"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: linalg.MaxOp, rewriter: PatternRewriter) -> None:
        left, right = op.inputs
        if _is_zero(left):
            left, right = right, left
        if op.results and _is_product(left) and _is_zero(right):
            _replace(rewriter, op, [ReluOp(left)])


class RaiseGeneric(RewritePattern):
    """linalg.generic whose body adds a bias by row, adds a tensor, or takes the maximum with 0"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: linalg.GenericOp, rewriter: PatternRewriter) -> None:
        if len(op.results) != 1 or not op.inputs or not _is_product(op.inputs[0]):
            return
        maps = [indexing_map.data for indexing_map in op.indexing_maps]
        identity = AffineMap.identity(maps[0].num_dims)
        if maps[0] != identity or maps[-1] != identity:
            return
        raised = _raise_binary(op, maps) if len(op.inputs) == 2 else _raise_unary(op)
        if raised is not None:
            _replace(rewriter, op, [raised])


def _raise_binary(op: linalg.GenericOp, maps: list[AffineMap]) -> Operation | None:
    if not _body_is(op.body.block, arith.AddfOp, set(op.body.block.args[:2])):
        return None
    identity, axis = maps[0], _channel_axis(op.inputs[0])
    along = AffineMap(identity.num_dims, 0, (identity.results[axis],))
    if maps[1] == along:
        return BiasAddOp(op.inputs[0], op.inputs[1], axis)
    same = maps[1] == identity and op.inputs[0].type == op.inputs[1].type
    return ResidualAddOp(op.inputs[0], op.inputs[1]) if same else None


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
    `sparsert.spmm`, `linalg.conv_2d_nchw_fchw` and `conv_2d_nhwc_hwcf` with a constant filter to
    `sparsert.conv2d`, and the bias add, ReLU and residual add after them to their sparsert ops.

    Understood: `linalg.add` (with `linalg.broadcast` of one number per row, or channel, for a
    bias), `linalg.max` with zeros, `linalg.generic` of the same meaning, and `tensor.pad` with
    zeros before a convolution, all on tensors.

    Requires: nothing.
    Guarantees: what it does not understand stays as it was; values are not changed.
    """

    name = "sparsert-import-linalg"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        patterns: list[RewritePattern] = [
            RaiseMatmul(),
            RaiseConvolution(),
            RaiseAdd(),
            RaiseMax(),
            RaiseGeneric(),
        ]
        PatternRewriteWalker(GreedyRewritePatternApplier(patterns)).rewrite_module(op)
        _erase_unused(op)


_LEFTOVERS = (
    arith.ConstantOp,
    linalg.FillOp,
    linalg.BroadcastOp,
    tensor.EmptyOp,
    tensor.PadOp,
)


def _erase_unused(module: ModuleOp) -> None:
    """Drop initial values and constants that nothing uses any more, users first."""
    for op in reversed(list(module.walk())):
        if isinstance(op, _LEFTOVERS) and not any(result.first_use for result in op.results):
            op.detach()
            op.erase()
