"""Every value is defined before it is used, which xDSL's verifier does not check.

Reference: https://mlir.llvm.org/docs/LangRef/#regions
"""

import functools
from collections.abc import Callable

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue

from sparsert_ir.dialects import gpu

_UNORDERED = (ModuleOp, gpu.ModuleOp)
"""Their operations have no order: a symbol may be used before it is defined."""


def first_undefined_use(module: ModuleOp) -> tuple[Operation, int] | None:
    """The first operation with an operand that is not defined before it, and the operand's number.

    Operations that control cannot reach may use anything of their region, as in MLIR.
    """
    places = {op: number for number, op in enumerate(module.walk())}
    dominators = functools.cache(immediate_dominators)
    for op in places:
        for number, operand in enumerate(op.operands):
            if not _is_defined(operand, op, places, dominators):
                return op, number
    return None


def _is_defined(
    value: SSAValue,
    user: Operation,
    places: dict[Operation, int],
    dominators: Callable[[Region], dict[Block, Block]],
) -> bool:
    owner = value.owner
    block = owner if isinstance(owner, Block) else owner.parent_block()
    region = None if block is None else block.parent
    around = None if region is None else _ancestor_in(region, user)
    if block is None or region is None or around is None:
        return False
    inside = around.parent_block()
    unordered = isinstance(region.parent, _UNORDERED)
    if inside is block and (
        unordered or isinstance(owner, Block) or places[owner] < places[around]
    ):
        return True
    above = dominators(region)
    if inside is None or inside not in above:
        return True
    if inside is block:
        return False
    while inside is not None and inside is not block:
        inside = above[inside] if above[inside] is not inside else None
    return inside is block


def _ancestor_in(region: Region, op: Operation) -> Operation | None:
    """`op`, or the operation around it, that lies in a block of `region`."""
    while True:
        block = op.parent_block()
        parent = None if block is None else block.parent
        if parent is region:
            return op
        if parent is None or parent.parent is None:
            return None
        op = parent.parent


def immediate_dominators(region: Region) -> dict[Block, Block]:
    """Of each block that control can reach, the last one that it always passes before; of the first
    block, itself.

    K. D. Cooper, T. J. Harvey, K. Kennedy, "A simple, fast dominance algorithm", 2001.
    """
    order = _reverse_postorder(region)
    number = {block: position for position, block in enumerate(order)}
    above = {order[0]: order[0]} if order else {}

    def meet(one: Block, other: Block) -> Block:
        while one is not other:
            while number[one] > number[other]:
                one = above[one]
            while number[other] > number[one]:
                other = above[other]
        return one

    before: dict[Block, list[Block]] = {block: [] for block in order}
    for block in order:
        for successor in _successors(block):
            before[successor].append(block)
    changed = True
    while changed:
        changed = False
        for block in order[1:]:
            found = functools.reduce(meet, (one for one in before[block] if one in above))
            changed = changed or above.get(block) is not found
            above[block] = found
    return above


def _reverse_postorder(region: Region) -> list[Block]:
    """The blocks that control can reach, each before its successors but for loops."""
    first = region.blocks.first
    if first is None:
        return []
    order: list[Block] = []
    seen = {first}
    path = [(first, iter(_successors(first)))]
    while path:
        block, successors = path[-1]
        following = next((one for one in successors if one not in seen), None)
        if following is None:
            order.append(block)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(_successors(following))))
    return order[::-1]


def _successors(block: Block) -> list[Block]:
    """Of the same region; an operation that is no terminator may name any."""
    last = block.last_op
    return [] if last is None else [one for one in last.successors if one.parent is block.parent]
