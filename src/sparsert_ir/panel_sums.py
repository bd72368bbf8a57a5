"""Whether a panel product can stand where its sums are used."""

from collections.abc import Sequence

from xdsl.ir import Operation
from xdsl.traits import is_side_effect_free

from sparsert_ir.dialects.sparsert import PanelProductOp, WritePanelOp


def only_writer(product: PanelProductOp) -> WritePanelOp | None:
    """The `write_panel` that writes the sums, all in their order, to the rows of the same panel, if
    nothing else uses them and the product can stand there.
    """
    users = {use.operation for total in product.sums for use in total.uses}
    if len(users) != 1:
        return None
    (write,) = users
    if not isinstance(write, WritePanelOp) or not can_stand_before(product, [write]):
        return None
    whole = list(write.sums) == list(product.sums)
    same_rows = write.panel is product.panel and write.panels == product.panels
    return write if whole and same_rows else None


def can_stand_before(product: PanelProductOp, users: Sequence[Operation]) -> bool:
    """Whether, but for `users`, nothing from the product to the last of them in its block touches
    memory.
    """
    between = product.next_op
    while between is not None and between is not users[-1]:
        if between not in users and not is_side_effect_free(between):
            return False
        between = between.next_op
    return between is not None
