"""`memref` and the lanes of the `sparsert` dialect become loads and stores through pointers."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, cast

from xdsl.dialects import cf, llvm, memref
from xdsl.dialects.builtin import AnyFloat, IntegerType, MemRefType, UnitAttr
from xdsl.dialects.llvm import ICmpPredicateFlag as Predicate
from xdsl.dialects.llvm import LLVMPointerType
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.dialects.sparsert import (
    ColumnTilesOp,
    FirstColumnOp,
    LoadColumnsOp,
    StoreColumnsOp,
    lane_element,
    lane_width,
)
from sparsert_ir.errors import IRError
from sparsert_ir.lowering.control_flow import compare
from sparsert_ir.lowering.function import FunctionLowering, Rules, rule
from sparsert_ir.lowering.numbers import call_overloaded, extract, join

ALLOCATE, FREE = "aligned_alloc", "free"
"""The C library's functions, since C11: https://en.cppreference.com/w/c/memory/aligned_alloc"""
_CACHE_LINE = 64
INVARIANT = "invariant"
"""Attribute of a load: nothing writes this memory while the function runs."""
_LIMIT = 2**31 - 1


def element_bytes(element_type: Attribute) -> int:
    return cast(AnyFloat | IntegerType, element_type).bitwidth // 8


def array_of(buffer: SSAValue) -> MemRefType[Any]:
    return cast(MemRefType[Any], buffer.type)


def check_size(kind: MemRefType[Any]) -> None:
    """IRError for an array of 2^31 elements or more."""
    if prod(kind.get_shape()) > _LIMIT:
        raise IRError(f"sparsert-convert-to-llvm: expected at most {_LIMIT} elements in {kind}")


def linear_index(
    lowering: FunctionLowering, kind: MemRefType[Any], indices: Sequence[SSAValue]
) -> SSAValue:
    """Where an element lies in a row-major array, in elements."""
    check_size(kind)
    position: SSAValue | None = None
    for size, index in zip(kind.get_shape(), indices, strict=True):
        if position is None:
            position = index
            continue
        scaled = lowering.insert(llvm.MulOp(position, lowering.integer(size)))
        position = lowering.insert(llvm.AddOp(scaled, index))
    return lowering.integer(0) if position is None else position


def address(lowering: FunctionLowering, buffer: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
    """A pointer to one element of a memref of the old function."""
    kind = array_of(buffer)
    position = linear_index(lowering, kind, lowering.values(indices))
    return lowering.element_pointer(lowering.value(buffer), position, kind.element_type)


def load(
    lowering: FunctionLowering,
    pointer: SSAValue,
    kind: Attribute,
    alignment: int,
    invariant: bool = False,
) -> SSAValue:
    op = llvm.LoadOp(pointer, kind, alignment)
    if invariant:
        op.attributes[INVARIANT] = UnitAttr()
    return lowering.insert(op)


def lower_load(lowering: FunctionLowering, op: memref.LoadOp) -> Sequence[SSAValue]:
    pointer = address(lowering, op.memref, op.indices)
    kind = lowering.type_of(op.res.type)
    invariant = op.memref in lowering.read_only
    return [load(lowering, pointer, kind, element_bytes(kind), invariant)]


def lower_store(lowering: FunctionLowering, op: memref.StoreOp) -> Sequence[SSAValue]:
    pointer = address(lowering, op.memref, op.indices)
    value = lowering.value(op.value)
    lowering.do(llvm.StoreOp(value, pointer, element_bytes(value.type)))
    return []


def lower_alloc(lowering: FunctionLowering, op: memref.AllocOp) -> Sequence[SSAValue]:
    """Memory of the C library, uninitialised, on cache lines."""
    kind = array_of(op.memref)
    check_size(kind)
    size = prod(kind.get_shape()) * element_bytes(kind.element_type)
    lines = -(-size // _CACHE_LINE)
    arguments = [lowering.integer(n, 64) for n in (_CACHE_LINE, lines * _CACHE_LINE)]
    pointer = lowering.type_of(kind)
    return [lowering.insert(llvm.CallOp(ALLOCATE, *arguments, return_type=pointer))]


def lower_dealloc(lowering: FunctionLowering, op: memref.DeallocOp) -> Sequence[SSAValue]:
    lowering.do(llvm.CallOp(FREE, lowering.value(op.memref)))
    return []


def library_functions(used: Iterable[str]) -> list[llvm.FuncOp]:
    """Declarations of the functions of the C library among `used`."""
    pointer, size = llvm.LLVMPointerType(), IntegerType(64)
    types = {
        ALLOCATE: llvm.LLVMFunctionType([size, size], pointer),
        FREE: llvm.LLVMFunctionType([pointer]),
    }
    names = sorted(set(used) & set(types))
    return [llvm.FuncOp(name, types[name], llvm.LinkageAttr("external")) for name in names]


def lower_get_global(lowering: FunctionLowering, op: memref.GetGlobalOp) -> Sequence[SSAValue]:
    kind = cast(LLVMPointerType, lowering.type_of(op.memref.type))
    return [lowering.insert(llvm.AddressOfOp(op.name_, kind))]


def lower_collapse_shape(
    lowering: FunctionLowering, op: memref.CollapseShapeOp
) -> Sequence[SSAValue]:
    """A view of the same memory."""
    if op.src in lowering.read_only:
        lowering.read_only |= {op.result}
    return [lowering.value(op.src)]


def lanes_are_whole(lowering: FunctionLowering, kind: MemRefType[Any], width: int) -> bool:
    """Whether a lane that starts inside a row never reaches past its end, nor lies unaligned.

    On a host, lanes may start anywhere and end inside (`first_column` sees to it).
    """
    return not lowering.target.is_gpu or kind.get_shape()[-1] % width == 0


def check_pair(kind: MemRefType[Any], width: int) -> None:
    """Only a pair can be taken apart where its second column may lie past the end."""
    if width != 2:
        raise IRError(
            f"sparsert-convert-to-llvm: expected lanes of {width} columns to divide the last"
            f" dimension, got {kind}"
        )


def second_column(
    lowering: FunctionLowering, kind: MemRefType[Any], column: SSAValue
) -> tuple[SSAValue, SSAValue]:
    """For a pair at `column`: the column of its second element, and whether that is inside."""
    after = lowering.insert(llvm.AddOp(column, lowering.integer(1)))
    end = lowering.integer(kind.get_shape()[-1])
    return after, compare(lowering, after, end, Predicate.ULT)


def lane_alignment(lowering: FunctionLowering, lane: Attribute) -> int:
    """What is known of the address of a lane: a GPU's lanes lie on multiples of their size."""
    element = element_bytes(lane_element(lane))
    return element * lane_width(lane) if lowering.target.is_gpu else element


def lower_load_columns(lowering: FunctionLowering, op: LoadColumnsOp) -> Sequence[SSAValue]:
    kind, lane = array_of(op.memref), op.result.type
    width, element = lane_width(lane), lane_element(lane)
    invariant = op.memref in lowering.read_only
    pointer = address(lowering, op.memref, op.indices)
    if width == 1 or lanes_are_whole(lowering, kind, width):
        return [load(lowering, pointer, lane, lane_alignment(lowering, lane), invariant)]
    check_pair(kind, width)
    _, inside = second_column(lowering, kind, lowering.value(op.indices[-1]))
    step = lowering.insert(llvm.ZExtOp(inside, IntegerType(lowering.target.index_bits)))
    last = lowering.element_pointer(pointer, step, element)
    size = element_bytes(element)
    return [join(lowering, [load(lowering, p, element, size, invariant) for p in (pointer, last)])]


def lower_store_columns(lowering: FunctionLowering, op: StoreColumnsOp) -> Sequence[SSAValue]:
    kind, lane = array_of(op.memref), op.value.type
    width, value = lane_width(lane), lowering.value(op.value)
    streaming = op.streaming is not None
    pointer = address(lowering, op.memref, op.indices)
    if width == 1 or lanes_are_whole(lowering, kind, width):
        alignment = lane_alignment(lowering, lane)
        lowering.do(llvm.StoreOp(value, pointer, alignment, nontemporal=streaming))
        return []
    check_pair(kind, width)
    element = lane_element(lane)
    size = element_bytes(element)
    first, second = extract(lowering, value, 0), extract(lowering, value, 1)
    lowering.do(llvm.StoreOp(first, pointer, size, nontemporal=streaming))
    _, inside = second_column(lowering, kind, lowering.value(op.indices[-1]))
    store, after = lowering.new_block([]), lowering.new_block([])
    lowering.do(cf.ConditionalBranchOp(inside, store, [], after, []))
    lowering.start(store)
    last = lowering.element_pointer(pointer, 1, element)
    lowering.do(llvm.StoreOp(second, last, size, nontemporal=streaming))
    lowering.branch(after)
    lowering.start(after)
    return []


def lower_column_tiles(lowering: FunctionLowering, op: ColumnTilesOp) -> Sequence[SSAValue]:
    return [lowering.integer(op.tiles)]


def lower_first_column(lowering: FunctionLowering, op: FirstColumnOp) -> Sequence[SSAValue]:
    width = op.width.value.data
    column = lowering.value(op.lane)
    if width > 1:
        column = lowering.insert(llvm.MulOp(column, lowering.integer(width)))
    if op.within is not None:
        last = lowering.integer(op.within.value.data - width)
        column = call_overloaded(lowering, "llvm.umin", [column, last])
    return [column]


MEMORY: Rules = {
    memref.LoadOp: rule(lower_load),
    memref.StoreOp: rule(lower_store),
    memref.AllocOp: rule(lower_alloc),
    memref.DeallocOp: rule(lower_dealloc),
    memref.GetGlobalOp: rule(lower_get_global),
    memref.CollapseShapeOp: rule(lower_collapse_shape),
    LoadColumnsOp: rule(lower_load_columns),
    StoreColumnsOp: rule(lower_store_columns),
    ColumnTilesOp: rule(lower_column_tiles),
    FirstColumnOp: rule(lower_first_column),
}
