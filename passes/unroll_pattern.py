"""sparsert-unroll-pattern: the matrix becomes code, one straight line per panel and K group."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from xdsl.context import Context
from xdsl.dialects import scf
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, f16, i64
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from sparsert_ir.building import Code, Values
from sparsert_ir.cost_model.budget import CODE_BUDGET, CodeEstimate
from sparsert_ir.dense import to_dense, to_numpy
from sparsert_ir.dialects.sparsert import (
    AccumulateOp,
    ConstantOp,
    PanelProductOp,
    WritePanelOp,
    WriteRowsOp,
    lane_element,
    lane_width,
)
from sparsert_ir.errors import IRError
from sparsert_ir.kernel_function import constant_weight
from sparsert_ir.layout.dealing import touched_columns
from sparsert_ir.layout.partition import panel_run
from sparsert_ir.panel_sums import only_writer


@dataclass(frozen=True)
class UnrollPattern(ModulePass):
    """Replace each `panel_product` of any panel by a switch over all panels and K groups whose
    cases hold exactly the multiply-adds of theirs (`accumulate`), in ascending order of columns.

    Where a `write_panel` takes all the sums in their order to the rows of the same panel, nothing
    else uses them and nothing between the two touches memory, the switch stands in its place and
    writes with `write_rows` of known rows; any other `write_panel` becomes a switch of its own.

    Code that would take more than `code-budget` bytes is refused before any of it is made.

    Requires: weights made by `sparsert.constant`.
    Guarantees: no `panel_product`, `write_panel` or `sparsert.constant` is left in a kernel; all
    zeros of the matrix are gone. `panel` and `group` are in range by construction, so the last case
    is the default.
    """

    name = "sparsert-unroll-pattern"

    code_budget: int = CODE_BUDGET

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for product in [inner for inner in op.walk() if isinstance(inner, PanelProductOp)]:
            if product.tile is not None:
                raise IRError(f"{self.name}: expected x to be staged; run sparsert-stage-x first")
            estimate(product).check(self.code_budget)
            _unroll(product)
        for write in [inner for inner in op.walk() if isinstance(inner, WritePanelOp)]:
            _unroll_write(write)


def estimate(product: PanelProductOp) -> CodeEstimate:
    """How much code `product` becomes: every row of x that a panel needs is loaded once."""
    offsets, indices, values = constant_weight(product.weight, UnrollPattern.name).arrays()
    loads = touched_columns(offsets, indices, to_numpy(product.panels)).sum()
    pieces = math.ceil(lane_width(product.sums[0].type) / _columns_per_instruction(product))
    return CodeEstimate(pieces * values.size, int(loads))


def _columns_per_instruction(product: PanelProductOp) -> int:
    return 2 if lane_element(product.sums[0].type) == f16 else 1


def _unroll(product: PanelProductOp) -> None:
    constant = constant_weight(product.weight, UnrollPattern.name)
    write = only_writer(product)
    code = Code(InsertPoint.before(write or product))
    panels, splits = to_numpy(product.panels), to_numpy(product.splits)
    groups = splits.shape[1] - 1
    selector = product.panel
    if groups > 1:
        selector = code.add(code.multiply(product.panel, code.index(groups)), product.group)
    offsets, indices, values = constant.arrays()
    positions = None if product.positions is None else to_numpy(product.positions)

    def case(inner: Code, number: int) -> Values:
        panel, group = divmod(number, groups)
        begin, end = int(splits[panel, group]), int(splits[panel, group + 1])
        columns, rows, order = panel_run(offsets, indices, panels[panel], begin, end)
        sources = columns if positions is None else positions[order]
        sums = inner.do(
            AccumulateOp(
                product.x,
                product.column,
                to_dense(sources),
                to_dense(rows),
                to_dense(values[order]),
                product.result_types,
                product.fold,
                product.window,
                product.initial,
            )
        )
        if write is None:
            return sums
        inner.do(_write_rows(write, sums, panel))
        return []

    case_count = panels.shape[0] * groups
    sums = _switch(code, selector, case_count, [] if write else product.result_types, case)
    for old, new in zip(product.sums, sums, strict=False):
        old.replace_all_uses_with(new)
    _erase(write, product, constant)


def _unroll_write(write: WritePanelOp) -> None:
    """A `write_panel` apart from its product: a case for each panel."""

    def case(inner: Code, panel: int) -> Values:
        inner.do(_write_rows(write, write.sums, panel))
        return []

    _switch(Code(InsertPoint.before(write)), write.panel, write.panels.get_shape()[0], [], case)
    _erase(write)


def _write_rows(write: WritePanelOp, sums: Values, panel: int) -> WriteRowsOp:
    rows = to_numpy(write.panels)[panel]
    properties = {
        name: write.properties.get(name)
        for name in ("window", "activation", "residual_after_activation", "streaming")
    }
    properties["rows"] = to_dense(rows)
    if write.bias is not None:
        bias = to_numpy(write.bias)
        properties["bias"] = to_dense(bias[rows] * (rows >= 0).astype(bias.dtype))
    return WriteRowsOp(sums, write.y, write.column, write.residual, properties)


def _switch(
    code: Code,
    selector: SSAValue,
    case_count: int,
    result_types: Sequence[object],
    case: Callable[[Code, int], Values],
) -> Values:
    """`scf.index_switch` over 0 ... case_count - 1; straight-line code where there is one case."""
    if case_count == 1:
        return case(code, 0)
    regions: list[Region] = []
    for number in range(case_count):
        block = Block()
        inner = Code(block)
        inner.end_with(case(inner, number))
        regions.append(Region(block))
    numbers = cast(DenseArrayBase, DenseArrayBase.from_list(i64, range(case_count - 1)))
    *cases, default = regions
    return code.do(scf.IndexSwitchOp(selector, numbers, default, cases, result_types))  # pyright: ignore[reportArgumentType]


def _erase(*ops: Operation | None) -> None:
    for op in ops:
        if op is not None and not (isinstance(op, ConstantOp) and op.result.first_use):
            op.detach()
            op.erase()
