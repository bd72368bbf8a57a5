"""The sums of the K groups of a block: left in workgroup memory, added up in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.building import Code, Values, array_type
from sparsert_ir.dialects import gpu
from sparsert_ir.dialects.sparsert import FirstColumnOp, LoadColumnsOp, StoreColumnsOp
from sparsert_ir.gpu.code_place import Position
from sparsert_ir.gpu.code_results import Finisher
from sparsert_ir.gpu.overlap import launch_dependents
from sparsert_ir.gpu_facts import WORKGROUP
from sparsert_ir.kernel_function import ProductFunction

PARTIAL_SUMS = "partial_sums"


def partial_sums_type(product: ProductFunction) -> MemRefType[Attribute]:
    """The sums of each K group of each panel of a block."""
    schedule = product.schedule
    groups = schedule.panels_per_block * schedule.k_groups
    shape = [groups, product.panel_height, schedule.threads]
    return array_type(shape, product.sum_type, WORKGROUP)


@dataclass(frozen=True)
class PartialSums:
    """The partial sums of a panel: K group g's at [first + g, row, column...] of a buffer."""

    product: ProductFunction
    buffer: SSAValue
    first: SSAValue
    column: SSAValue

    @classmethod
    def store(
        cls, product: ProductFunction, code: Code, sums: Values, where: Position
    ) -> "PartialSums":
        """Leave a thread's sums for the other K groups of its panel; wait until all have."""
        buffer = code.table(PARTIAL_SUMS, partial_sums_type(product))
        column = code.insert(FirstColumnOp(where.thread))
        groups = code.index(product.schedule.k_groups)
        first = code.multiply(where.slot, groups)
        mine = code.add(first, where.group)
        for row, total in enumerate(sums):
            code.do(StoreColumnsOp(total, buffer, [mine, code.index(row), column]))
        code.do(gpu.BarrierOp())
        return cls(product, buffer, first, column)

    def total(self, code: Code, row: SSAValue) -> SSAValue:
        """Of a row over the block's K groups."""
        places = [
            [code.add(self.first, code.index(group)), row, self.column]
            for group in range(self.product.schedule.k_groups)
        ]
        return add_up(self.product, code, self.buffer, places)


def write_split(
    product: ProductFunction, code: Code, sums: Values, where: Position, finish: Finisher
) -> None:
    """Store partial sums, wait, then let K group g finish rows g, g + groups, ..."""
    own = PartialSums.store(product, code, sums, where)
    launch_dependents(code, product.schedule)

    def finish_row(inner: Code, row: SSAValue) -> None:
        finish(inner, row, own.total(inner, row))

    loop_over_rows(product, code, where.group, product.schedule.k_groups, finish_row)


def loop_over_rows(
    product: ProductFunction,
    code: Code,
    begin: SSAValue,
    step: int,
    body: Callable[[Code, SSAValue], None],
) -> None:
    """Every `step`-th row of a panel."""
    code.loop(begin, code.index(product.panel_height), code.index(step), body)


def add_up(
    product: ProductFunction, code: Code, buffer: SSAValue, places: Sequence[Sequence[SSAValue]]
) -> SSAValue:
    """The sum of the lanes at several places, in that order."""
    total: SSAValue | None = None
    for place in places:
        partial = code.insert(LoadColumnsOp(buffer, place, product.sum_type))
        total = partial if total is None else code.insert(arith.AddfOp(total, partial))
    assert total is not None
    return total
