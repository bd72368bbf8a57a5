"""Lowering one function: which LLVM value stands for which value of the old function."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

from xdsl.dialects import cf
from xdsl.dialects.builtin import (
    IndexType,
    IntAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    NoneAttr,
)
from xdsl.dialects.llvm import ConstantOp, GEPOp, LLVMPointerType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from sparsert_ir.errors import IRError
from sparsert_ir.gpu_facts import GLOBAL

OpT = TypeVar("OpT", bound=Operation)
Rule: TypeAlias = Callable[["FunctionLowering", Operation], Sequence[SSAValue]]
"""Lowers one operation; returns what stands for its results."""
Rules: TypeAlias = Mapping[type[Operation], Rule]
Sharer: TypeAlias = Callable[["FunctionLowering", Operation], None]
Sharers: TypeAlias = Mapping[type[Operation], Sharer]
"""What an operation of that class can share with others; its operands must be lowered by then."""


def rule(function: Callable[["FunctionLowering", OpT], Sequence[SSAValue]]) -> Rule:
    """A rule for one class of operations; the table that holds it knows which."""
    return cast(Rule, function)


def sharer(function: Callable[["FunctionLowering", OpT], None]) -> Sharer:
    """A sharer for one class of operations; the table that holds it knows which."""
    return cast(Sharer, function)


@dataclass(frozen=True)
class Target:
    """index_bits: width of `index`. default_space: address space of a memref that names none."""

    index_bits: int
    default_space: int

    @property
    def is_gpu(self) -> bool:
        return self.default_space == GLOBAL


GPU = Target(index_bits=32, default_space=GLOBAL)
HOST = Target(index_bits=64, default_space=0)


class FunctionLowering:
    """Writes the blocks of the new function; `block` is where the next operation goes.

    `read_only` are the memrefs of the old function that nothing writes while it runs. `shared` is
    what operations lowered now may use instead of computing it again.
    """

    def __init__(self, target: Target, rules: Rules, sharers: Sharers | None = None):
        self.target = target
        self.region = Region()
        self._rules = rules
        self._sharers = sharers or {}
        self.shared: dict[object, object] = {}
        self._values: dict[SSAValue, SSAValue] = {}
        self.read_only: frozenset[SSAValue] = frozenset()
        self.block = self.new_block([])

    def new_block(self, argument_types: Sequence[Attribute]) -> Block:
        """A new last block of the function; does not move there."""
        block = Block(arg_types=argument_types)
        self.region.add_block(block)
        return block

    def start(self, block: Block) -> None:
        """Go on in `block`, which becomes the last of the function."""
        self.region.detach_block(block)
        self.region.add_block(block)
        self.block = block

    def type_of(self, kind: Attribute) -> Attribute:
        """The LLVM type that stands for a type."""
        match kind:
            case IndexType():
                return IntegerType(self.target.index_bits)
            case MemRefType():
                if not isinstance(kind.layout, NoneAttr):
                    raise IRError(
                        f"sparsert-convert-to-llvm: expected row-major memory, got {kind}"
                    )
                space = self.space_of(kind)
                return LLVMPointerType(IntAttr(space)) if space else LLVMPointerType()
            case _:
                return kind

    def space_of(self, kind: Attribute) -> int:
        """Address space of a memref."""
        space = cast(MemRefType[Attribute], kind).memory_space
        return space.value.data if isinstance(space, IntegerAttr) else self.target.default_space

    def value(self, old: SSAValue) -> SSAValue:
        """What stands for `old`."""
        return self._values[old]

    def values(self, old: Iterable[SSAValue]) -> list[SSAValue]:
        return [self._values[value] for value in old]

    def bind(self, old: Sequence[SSAValue], new: Sequence[SSAValue]) -> None:
        """Let `new` stand for `old`."""
        for old_value, new_value in zip(old, new, strict=True):
            new_value.name_hint = new_value.name_hint or old_value.name_hint
            self._values[old_value] = new_value

    def insert(self, op: Operation) -> SSAValue:
        """Append `op` to the current block; returns its first result."""
        self.block.add_op(op)
        return op.results[0]

    def do(self, op: Operation) -> None:
        """Append an operation without results."""
        self.block.add_op(op)

    def lower(self, op: Operation) -> None:
        """Lower one operation and bind its results."""
        lowering_rule = self._rules.get(type(op))
        if lowering_rule is None:
            raise IRError(f"sparsert-convert-to-llvm: no lowering for operation {op.name}")
        self.bind(op.results, lowering_rule(self, op))

    def lower_block(self, block: Block) -> list[SSAValue]:
        """Lower all operations of a structured block; returns the operands of its terminator."""
        *ops, terminator = block.ops
        for op in ops:
            self.lower(op)
        return self.values(terminator.operands)

    def lower_body(self, block: Block) -> None:
        """Lower all operations of a function's body, its return included."""
        for op in block.ops:
            self.lower(op)

    @contextmanager
    def sharing(self, regions: Sequence[Region]) -> Generator[None]:
        """Compute here, once, what operations in several `regions` need; shared while they are
        lowered.
        """
        before = dict(self.shared)
        for op in (op for region in regions for op in region.walk()):
            sharer = self._sharers.get(type(op))
            if sharer is not None:
                sharer(self, op)
        try:
            yield
        finally:
            self.shared = before

    def integer(self, value: int, bits: int | None = None) -> SSAValue:
        """A constant, of the width of `index` unless said otherwise."""
        kind = IntegerType(self.target.index_bits if bits is None else bits)
        return self.insert(ConstantOp(IntegerAttr(value, kind), kind))

    def element_pointer(
        self,
        pointer: SSAValue,
        position: SSAValue | int,
        element_type: Attribute,
        inbounds: bool = True,
    ) -> SSAValue:
        """The address of element `position` after `pointer`; inbounds: of the same array."""
        gep = GEPOp.from_mixed_indices(
            pointer,
            [position],
            element_type,
            result_type=cast(LLVMPointerType, pointer.type),
            inbounds=inbounds,
        )
        return self.insert(gep)

    def branch(self, target: Block, arguments: Sequence[SSAValue] = ()) -> None:
        self.do(cf.BranchOp(target, *arguments))
