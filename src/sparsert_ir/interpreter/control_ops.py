"""`scf` and `func`: branches, loops and calls under a mask."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from xdsl.dialects import func, scf
from xdsl.ir import Block, Operation

from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value, merge
from sparsert_ir.interpreter.races import BoolArray

_ROUNDS_LIMIT = 1_000_000
"""Rounds after which an `scf.while` is taken for an endless loop."""


def _merge_all(
    frame: Frame, op: Operation, mask: BoolArray, new: Sequence[Any], old: Sequence[Any]
) -> list[Any]:
    return [merge(frame, op, mask, a, b) for a, b in zip(new, old, strict=True)]


def _branches(
    frame: Frame, op: Operation, sides: Sequence[tuple[BoolArray, Block | None]]
) -> list[Any]:
    """Run each side for its threads and merge what the sides yield."""
    results: list[Any] = [None] * len(op.results)
    for mask, block in sides:
        if not mask.any() or block is None:
            continue
        with frame.only(mask):
            yielded = frame.run(block, [])
        results = _merge_all(frame, op, mask, yielded, results)
    return results


def _if(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(scf.IfOp, op)
    condition: BoolArray = operands[0]
    sides = [
        (frame.mask & condition, op.true_region.block),
        (frame.mask & ~condition, op.false_region.blocks.first),
    ]
    return _branches(frame, op, sides)


def _index_switch(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(scf.IndexSwitchOp, op)
    cases = [int(case) for case in op.cases.iter_values()]
    present = set(operands[0][frame.lanes].tolist())
    sides = [
        (frame.mask & (operands[0] == case), region.block)
        for case, region in zip(cases, op.case_regions, strict=True)
        if case in present
    ]
    rest = frame.mask & ~np.isin(operands[0], cases)
    return _branches(frame, op, [*sides, (rest, op.default_region.block)])


def _for(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(scf.ForOp, op)
    begin, end, step, *carried = operands
    if (step[frame.lanes] <= 0).any():
        frame.fail(op, "expected a step above 0")
    index = begin
    active = frame.mask & (index < end)
    while active.any():
        with frame.only(active):
            yielded = frame.run(op.body.block, [index, *carried])
        carried = _merge_all(frame, op, active, yielded, carried)
        index = index + step
        active = active & (index < end)
    return carried


def _while(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(scf.WhileOp, op)
    active = frame.mask
    carried = list(operands)
    results: list[Any] = [None] * len(op.results)
    for _ in range(_ROUNDS_LIMIT):
        with frame.only(active):
            condition, *forwarded = frame.run(op.before_region.block, carried)
        leaving = active & ~condition
        if leaving.any():
            results = _merge_all(frame, op, leaving, forwarded, results)
        active = active & condition
        if not active.any():
            return results
        with frame.only(active):
            yielded = frame.run(op.after_region.block, forwarded)
        carried = _merge_all(frame, op, active, yielded, carried)
    return frame.fail(op, f"still running after {_ROUNDS_LIMIT} rounds", int(frame.lanes[0]))


def _call(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    op = cast(func.CallOp, op)
    callee = frame.machine.find(op, op.callee)
    if not isinstance(callee, func.FuncOp) or callee.is_declaration:
        frame.fail(op, f"expected {op.callee} to be a function with a body")
    caller_values, frame.values = frame.values, {}
    try:
        return frame.run(callee.body.block, operands)
    finally:
        frame.values = caller_values


CONTROL_HANDLERS: Mapping[str, Handler] = {
    "scf.if": _if,
    "scf.index_switch": _index_switch,
    "scf.for": _for,
    "scf.while": _while,
    "func.call": _call,
}
