"""sparsert-expand: one operation per multiply-add, for reading, tests and small kernels."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects import arith, math, vector
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    MemRefType,
    ModuleOp,
    VectorType,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from sparsert_ir.building import Code, Values
from sparsert_ir.dense import numpy_dtype, to_numpy
from sparsert_ir.dialects.sparsert import (
    AccumulateOp,
    LoadColumnsOp,
    PanelProductOp,
    WritePanelOp,
    WriteRowsOp,
    lane_element,
)
from sparsert_ir.epilogue import RowWriter, convert, element_of, with_element
from sparsert_ir.errors import BudgetError, IRError


@dataclass(frozen=True)
class Expand(ModulePass):
    """Write out each run of multiply-adds: one load for each run of equal columns, one constant and
    one fused multiply-add for each nonzero; and each `write_rows`: one store for each row.

    An operation costs about 20 us here and more in the passes after it, so a module of more than
    `max_multiply_adds` is refused (BudgetError).

    Requires: `sparsert-unroll-pattern`; before `sparsert-convert-to-llvm`.
    Guarantees: no `accumulate` or `write_rows` is left; every result keeps its bits.
    """

    name = "sparsert-expand"

    max_multiply_adds: int = 20_000

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        ops = list(op.walk())
        if any(isinstance(inner, PanelProductOp | WritePanelOp) for inner in ops):
            raise IRError(f"{self.name}: expected known panels; run sparsert-unroll-pattern first")
        runs = [inner for inner in ops if isinstance(inner, AccumulateOp)]
        self._check_budget(sum(run.values.get_shape()[0] for run in runs))
        for run in runs:
            _replace(run, _expand_run(Code(InsertPoint.before(run)), run))
        for write in ops:
            if isinstance(write, WriteRowsOp):
                _expand_write(Code(InsertPoint.before(write)), write)
                _replace(write, [])

    def _check_budget(self, multiply_adds: int) -> None:
        if multiply_adds > self.max_multiply_adds:
            raise BudgetError(
                f"{self.name}: expected at most {self.max_multiply_adds} multiply-adds, got"
                f" {multiply_adds}; raise max-multiply-adds, or leave out the pass: runs in bulk"
                " compile to the same code"
            )


def _replace(op: Operation, values: Values) -> None:
    for old, new in zip(op.results, values, strict=True):
        old.replace_all_uses_with(new)
    op.detach()
    op.erase()


def _constant(code: Code, value: float, lane: Attribute) -> SSAValue:
    """`value`, rounded to the lane's element type, in every column of a lane."""
    element = lane_element(lane)
    rounded = float(numpy_dtype(element).type(value))
    if not isinstance(lane, VectorType):
        return code.number(rounded, element)
    kind = cast(VectorType[Any], lane)
    splat = DenseIntOrFPElementsAttr.from_list(kind, [rounded])
    return code.insert(arith.ConstantOp(splat))


class _Sums:
    """The sums of a run: the products of each row are added in their order.

    Where `fold` > 1 products of a row are added first in the narrower type of x, `_partials` holds
    the sum so far of those that its sum does not hold yet.
    """

    def __init__(self, code: Code, run: AccumulateOp):
        self._code = code
        self._lane = run.sums[0].type
        self._x_lane = with_element(self._lane, element_of(run.x))
        fold = 1 if run.fold is None else run.fold.value.data
        self._fold = 1 if self._x_lane == self._lane else fold
        self._sums = list(run.initial)
        if not self._sums:
            self._sums = [_constant(code, 0.0, self._lane)] * len(run.sums)
        self._partials: dict[int, SSAValue] = {}
        self._counts = [0] * len(run.sums)
        if self._fold > 1:
            self._partial_zero = _constant(code, 0.0, self._x_lane)

    def load(self, run: AccumulateOp, k: int) -> SSAValue:
        """A lane of row `k` of x, in the type in which its products are added."""
        row = self._code.index(k)
        flat = cast(MemRefType[Attribute], run.x.type).get_num_dims() == 1
        place = [self._code.add(row, run.column)] if flat else [row, run.column]
        lane = self._code.insert(LoadColumnsOp(run.x, place, self._x_lane, run.window))
        return lane if self._fold > 1 else convert(self._code, lane, lane_element(self._lane))

    def add_product(self, row: int, value: float, x: SSAValue) -> None:
        if self._fold <= 1:
            self._sums[row] = self._multiply_add(value, x, self._sums[row])
            return
        partial = self._partials.get(row, self._partial_zero)
        self._partials[row] = self._multiply_add(value, x, partial)
        self._counts[row] += 1
        if self._counts[row] % self._fold == 0:
            self._add_partial(row)

    def finish(self) -> Values:
        for row in sorted(self._partials):
            self._add_partial(row)
        return self._sums

    def _multiply_add(self, value: float, x: SSAValue, total: SSAValue) -> SSAValue:
        weight = _constant(self._code, value, total.type)
        fma = vector.FMAOp if isinstance(total.type, VectorType) else math.FmaOp
        return self._code.insert(fma(weight, x, total))

    def _add_partial(self, row: int) -> None:
        partial = convert(self._code, self._partials.pop(row), lane_element(self._lane))
        self._sums[row] = self._code.insert(arith.AddfOp(self._sums[row], partial))


def _expand_run(code: Code, run: AccumulateOp) -> Values:
    columns, rows, values = map(to_numpy, (run.columns, run.rows, run.values))
    sums = _Sums(code, run)
    loaded: tuple[int, SSAValue] | None = None
    for k, row, value in zip(columns.tolist(), rows.tolist(), values.tolist(), strict=True):
        if loaded is None or loaded[0] != k:
            loaded = k, sums.load(run, k)
        sums.add_product(row, value, loaded[1])
    return sums.finish()


def _expand_write(code: Code, write: WriteRowsOp) -> None:
    writer = RowWriter(
        y=write.y,
        residual=write.residual,
        bias_table=None,
        activation=write.activation,
        residual_after_activation=write.residual_after_activation,
        streaming=write.streaming is not None,
        window=write.window,
    )
    rows = to_numpy(write.rows)
    bias = None if write.bias is None else to_numpy(write.bias)
    for place in np.flatnonzero(rows >= 0).tolist():
        total = write.sums[place]
        if bias is not None:
            added = _constant(code, float(bias[place]), total.type)
            total = code.insert(arith.AddfOp(total, added))
        writer.write(code, total, code.index(int(rows[place])), write.column)
