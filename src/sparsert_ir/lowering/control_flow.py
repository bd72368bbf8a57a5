"""`scf` and `func` become branches between blocks and calls."""

from collections.abc import Sequence
from typing import cast

from xdsl.dialects import cf, func, scf
from xdsl.dialects.builtin import DenseIntElementsAttr, IntegerAttr, IntegerType, VectorType
from xdsl.dialects.llvm import AddOp, CallOp, ICmpOp, ReturnOp
from xdsl.dialects.llvm import ICmpPredicateFlag as Predicate
from xdsl.ir import Block, SSAValue

from sparsert_ir.lowering.function import FunctionLowering, Rules, rule


def compare(
    lowering: FunctionLowering, left: SSAValue, right: SSAValue, predicate: Predicate
) -> SSAValue:
    """An integer comparison."""
    return lowering.insert(ICmpOp(left, right, IntegerAttr(predicate.to_int(), 64)))


def lower_if(lowering: FunctionLowering, op: scf.IfOp) -> Sequence[SSAValue]:
    types = [lowering.type_of(result.type) for result in op.results]
    join = lowering.new_block(types)
    yes = lowering.new_block([])
    no = lowering.new_block([]) if op.false_region.blocks else join
    lowering.do(cf.ConditionalBranchOp(lowering.value(op.cond), yes, [], no, []))
    _lower_side(lowering, yes, op.true_region.block, join)
    if no is not join:
        _lower_side(lowering, no, op.false_region.block, join)
    lowering.start(join)
    return join.args


def _lower_side(lowering: FunctionLowering, start: Block, body: Block, join: Block) -> None:
    lowering.start(start)
    yielded = lowering.lower_block(body)
    lowering.branch(join, yielded)


def lower_index_switch(lowering: FunctionLowering, op: scf.IndexSwitchOp) -> Sequence[SSAValue]:
    types = [lowering.type_of(result.type) for result in op.results]
    join = lowering.new_block(types)
    bodies = [*(region.block for region in op.case_regions), op.default_region.block]
    starts = [lowering.new_block([]) for _ in bodies]
    flag = lowering.value(op.arg)
    numbers = [int(case) for case in op.cases.iter_values()]
    with lowering.sharing(op.regions):
        _lower_switch(lowering, flag, numbers, starts)
        for start, body in zip(starts, bodies, strict=True):
            _lower_side(lowering, start, body, join)
    lowering.start(join)
    return join.args


def _lower_switch(
    lowering: FunctionLowering, flag: SSAValue, numbers: Sequence[int], starts: Sequence[Block]
) -> None:
    bits = cast(IntegerType, flag.type)
    lowering.do(
        cf.SwitchOp(
            flag,
            starts[-1],
            [],
            DenseIntElementsAttr.from_list(VectorType(bits, [len(numbers)]), numbers),
            starts[:-1],
            [[] for _ in numbers],
        )
    )


def lower_for(lowering: FunctionLowering, op: scf.ForOp) -> Sequence[SSAValue]:
    begin, end, step = lowering.values([op.lb, op.ub, op.step])
    types = [lowering.type_of(argument.type) for argument in op.body.block.args]
    header = lowering.new_block(types)
    body, leave = lowering.new_block([]), lowering.new_block([])
    lowering.branch(header, [begin, *lowering.values(op.iter_args)])
    lowering.start(header)
    index, *carried = header.args
    inside = compare(lowering, index, end, Predicate.SLT)
    lowering.do(cf.ConditionalBranchOp(inside, body, [], leave, []))
    lowering.start(body)
    lowering.bind(op.body.block.args, header.args)
    yielded = lowering.lower_block(op.body.block)
    lowering.branch(header, [lowering.insert(AddOp(index, step)), *yielded])
    lowering.start(leave)
    return carried


def lower_call(lowering: FunctionLowering, op: func.CallOp) -> Sequence[SSAValue]:
    lowering.do(CallOp(op.callee.string_value(), *lowering.values(op.arguments)))
    return []


def lower_return(lowering: FunctionLowering, op: func.ReturnOp) -> Sequence[SSAValue]:
    lowering.do(ReturnOp())
    return []


CONTROL_FLOW: Rules = {
    scf.IfOp: rule(lower_if),
    scf.IndexSwitchOp: rule(lower_index_switch),
    scf.ForOp: rule(lower_for),
    func.CallOp: rule(lower_call),
    func.ReturnOp: rule(lower_return),
}
