"""A thin layer over xDSL's builder for writing loops and index arithmetic readably."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, cast

from xdsl.builder import Builder
from xdsl.dialects import arith, memref, scf, vector
from xdsl.dialects.builtin import (
    AnyFloat,
    DenseArrayBase,
    FloatAttr,
    IndexType,
    IntegerAttr,
    MemRefType,
    StringAttr,
    TensorType,
    UnitAttr,
    VectorType,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from sparsert_ir.dense import Dense

Values: TypeAlias = Sequence[SSAValue]


class Code:
    """Writes operations at one place; every method returns the value that it made."""

    def __init__(self, where: InsertPoint | Block):
        point = InsertPoint.at_end(where) if isinstance(where, Block) else where
        self._builder = Builder(point)

    def insert(self, op: Operation) -> SSAValue:
        """Insert `op`; returns its first result."""
        self._builder.insert(op)
        return op.results[0]

    def do(self, op: Operation) -> Values:
        """Insert `op`; returns all its results."""
        self._builder.insert(op)
        return op.results

    def index(self, value: int) -> SSAValue:
        return self.insert(arith.ConstantOp(IntegerAttr(value, IndexType())))

    def number(self, value: float, element_type: AnyFloat) -> SSAValue:
        return self.insert(arith.ConstantOp(FloatAttr(value, element_type)))

    def add(self, left: SSAValue, right: SSAValue) -> SSAValue:
        return self.insert(arith.AddiOp(left, right))

    def multiply(self, left: SSAValue, right: SSAValue) -> SSAValue:
        return self.insert(arith.MuliOp(left, right))

    def divide(self, number: SSAValue, size: int) -> tuple[SSAValue, SSAValue]:
        """Quotient and remainder."""
        divisor = self.index(size)
        return (
            self.insert(arith.DivUIOp(number, divisor)),
            self.insert(arith.RemUIOp(number, divisor)),
        )

    def minimum(self, left: SSAValue, right: SSAValue) -> SSAValue:
        return self.insert(arith.MinUIOp(left, right))

    def compare(
        self, left: SSAValue, predicate: Literal["ult", "sge", "eq"], right: SSAValue
    ) -> SSAValue:
        return self.insert(arith.CmpiOp(left, right, predicate))

    def both(self, left: SSAValue, right: SSAValue) -> SSAValue:
        return self.insert(arith.AndIOp(left, right))

    def select(self, condition: SSAValue, yes: SSAValue, no: SSAValue) -> SSAValue:
        return self.insert(arith.SelectOp(condition, yes, no))

    def as_index(self, value: SSAValue) -> SSAValue:
        return self.insert(arith.IndexCastOp(value, IndexType()))

    def load(self, buffer: SSAValue, *indices: SSAValue) -> SSAValue:
        return self.insert(memref.LoadOp.get(buffer, indices))

    def shuffle(self, values: SSAValue, numbers: Sequence[int]) -> SSAValue:
        """A vector of elements of `values`, chosen by number."""
        element = cast(VectorType[Any], values.type).element_type
        mask = DenseArrayBase.from_list(i64, numbers)
        kind = VectorType(element, [len(numbers)])
        return self.insert(vector.ShuffleOp(values, values, mask, result_type=kind))

    def table(self, name: str, kind: MemRefType[Attribute]) -> SSAValue:
        """The address of a `memref.global`."""
        return self.insert(memref.GetGlobalOp(name, kind))

    def when(self, condition: SSAValue, body: Callable[["Code"], None]) -> None:
        """`scf.if` without results."""
        block = Block()
        inner = Code(block)
        body(inner)
        inner.do_nothing()
        self._builder.insert(scf.IfOp(condition, [], Region(block)))

    def either(self, condition: SSAValue, yes: Callable[["Code"], Values], no: Values) -> Values:
        """`scf.if` whose results are those of `yes`, or the values `no`."""
        then, otherwise = Block(), Block()
        inner = Code(then)
        inner.end_with(yes(inner))
        Code(otherwise).end_with(no)
        kinds = [value.type for value in no]
        return self.do(scf.IfOp(condition, kinds, Region(then), Region(otherwise)))

    def do_nothing(self) -> None:
        """End a region that yields nothing."""
        self._builder.insert(scf.YieldOp())

    def loop(
        self,
        begin: SSAValue,
        end: SSAValue,
        step: SSAValue,
        body: Callable[["Code", SSAValue], None],
    ) -> None:
        """`scf.for` without carried values; `body` gets the induction variable."""

        def without_sums(code: Code, i: SSAValue, _: Values) -> Values:
            body(code, i)
            return []

        self.sum_loop(begin, end, step, [], without_sums)

    def sum_loop(
        self,
        begin: SSAValue,
        end: SSAValue,
        step: SSAValue,
        carried: Values,
        body: Callable[["Code", SSAValue, Values], Values],
    ) -> Values:
        """`scf.for` with carried values; `body` returns their next ones."""
        block = Block(arg_types=[IndexType(), *(value.type for value in carried)])
        inner = Code(block)
        inner.end_with(body(inner, block.args[0], block.args[1:]))
        return self.do(scf.ForOp(begin, end, step, carried, Region(block)))

    def end_with(self, values: Values) -> None:
        """End a region that yields `values`."""
        self._builder.insert(scf.YieldOp(*values))


def memref_of(kind: Attribute, space: int | None = None) -> MemRefType[Attribute]:
    """The row-major memref of a tensor type, in a memory space (3: workgroup, 4: constant)."""
    ranked = cast(TensorType[Attribute], kind)
    return array_type(ranked.get_shape(), ranked.element_type, space)


def array_type(
    shape: Sequence[int], element_type: Attribute, space: int | None = None
) -> MemRefType[Attribute]:
    """A row-major memref; `space` 3 is workgroup memory, 4 constant memory."""
    if space is None:
        return MemRefType(element_type, shape)
    return MemRefType(element_type, shape, memory_space=IntegerAttr(space, 64))


def constant_table(name: str, data: Dense, space: int | None = None) -> memref.GlobalOp:
    """A read-only `memref.global` that holds `data`."""
    kind = memref_of(data.type, space)
    return memref.GlobalOp.get(StringAttr(name), kind, data, constant=UnitAttr())


def workgroup_buffer(name: str, kind: MemRefType[Attribute]) -> memref.GlobalOp:
    """Uninitialised memory of one block."""
    return memref.GlobalOp.get(StringAttr(name), kind, UnitAttr())
