"""`memref` and the lanes of the `sparsert` dialect become loads and stores through pointers."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, cast

from xdsl.dialects import arith, cf, llvm, memref
from xdsl.dialects.builtin import (
    FloatAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    UnitAttr,
)
from xdsl.dialects.llvm import LLVMPointerType
from xdsl.ir import Attribute, SSAValue

from sparsert_ir.dense import element_bytes
from sparsert_ir.dialects.sparsert import (
    ColumnTilesOp,
    FirstColumnOp,
    LoadColumnsOp,
    StoreColumnsOp,
    lane_element,
    lane_width,
)
from sparsert_ir.errors import IRError
from sparsert_ir.lowering.function import FunctionLowering, Rules, rule
from sparsert_ir.lowering.lanes import (
    Lane,
    check_size,
    lanes_are_whole,
    matrix_lane,
    window_lanes,
)
from sparsert_ir.lowering.numbers import call_overloaded, extract, join

ALLOCATE, FREE = "aligned_alloc", "free"
"""The C library's functions, since C11: https://en.cppreference.com/w/c/memory/aligned_alloc"""
_CACHE_LINE = 64
_LIMIT = 2**31
INVARIANT = "invariant"
"""Attribute of a load: nothing writes this memory while the function runs."""


def array_of(buffer: SSAValue) -> MemRefType[Any]:
    return cast(MemRefType[Any], buffer.type)


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
    element, pointer = kind.element_type, lowering.value(buffer)
    terms = [_sum_with_constant(lowering, index) for index in indices]
    distance = 0
    for size, (_, constant) in zip(kind.get_shape(), terms, strict=True):
        distance = distance * size + constant
    if not 0 < distance < _LIMIT:
        position = linear_index(lowering, kind, lowering.values(indices))
        return lowering.element_pointer(pointer, position, element)
    position = linear_index(lowering, kind, [term for term, _ in terms])
    # Nothing is known of the place before the constant is added: it may be outside the array.
    start = lowering.element_pointer(pointer, position, element, inbounds=False)
    return lowering.element_pointer(start, distance, element, inbounds=False)


def _sum_with_constant(lowering: FunctionLowering, index: SSAValue) -> tuple[SSAValue, int]:
    """In code of a GPU, the parts of `start + constant`; else the index and 0.

    Loads and stores add a constant for nothing, and those that differ in it share the address. The
    sum is a place in an array, below 2^31, so that `start` is more than -2^31 and keeps its meaning
    when it gets the width of a pointer.
    """
    op = index.owner
    if lowering.target.is_gpu and isinstance(op, arith.AddiOp):
        known = op.rhs.owner.value if isinstance(op.rhs.owner, arith.ConstantOp) else None
        if isinstance(known, IntegerAttr) and known.value.data >= 0:
            return lowering.value(op.lhs), known.value.data
    return lowering.value(index), 0


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


def lane_alignment(lowering: FunctionLowering, lane: Attribute) -> int:
    """What is known of the address of a lane: a GPU's lanes lie on multiples of their size."""
    element = element_bytes(lane_element(lane))
    return element * lane_width(lane) if lowering.target.is_gpu else element


def _lane_in_memory(
    lowering: FunctionLowering, op: LoadColumnsOp | StoreColumnsOp, width: int
) -> tuple[Lane, list[SSAValue]]:
    """Where a lane lies, and the guards of its columns (none: all lie inside)."""
    kind = array_of(op.memref)
    column = op.indices[-1]
    if op.window is None:
        base = address(lowering, op.memref, op.indices)
        whole = lanes_are_whole(lowering, kind.get_shape()[-1], width)
        return matrix_lane(lowering, base, kind, lowering.value(column), width, whole), []
    row, window = op.indices[0], op.window.data
    lanes = window_lanes(lowering, lowering.value(column), width, op.window)
    lane, guards = lanes.lane(lowering.value(op.memref), kind), list[SSAValue]()
    known = row.owner.value if isinstance(row.owner, arith.ConstantOp) else None
    if isinstance(known, IntegerAttr):
        distance: SSAValue | int = int(window.row_offsets(known.value.data))
        _, ty, tx = window.taps(known.value.data)
        guards = lanes.guards(int(ty), int(tx))
    elif window.is_pointwise:
        stride = lowering.integer(window.element_strides[1])
        distance = lowering.insert(llvm.MulOp(lowering.value(row), stride))
    else:
        raise IRError(
            f"sparsert-convert-to-llvm: expected {op.name} with a window to have a constant row, or"
            " a window of a 1x1 filter"
        )
    moved = [lowering.element_pointer(p, distance, kind.element_type) for p in lane.pointers]
    return Lane(moved, lane.second), guards


def lower_load_columns(lowering: FunctionLowering, op: LoadColumnsOp) -> Sequence[SSAValue]:
    lane = op.result.type
    invariant = op.memref in lowering.read_only
    place, guards = _lane_in_memory(lowering, op, lane_width(lane))
    if guards:
        return [_load_guarded(lowering, op, place, guards)]
    if len(place.pointers) == 1:
        [pointer] = place.pointers
        return [load(lowering, pointer, lane, lane_alignment(lowering, lane), invariant)]
    element = lane_element(lane)
    size = element_bytes(element)
    return [join(lowering, [load(lowering, p, element, size, invariant) for p in place.pointers])]


def _load_guarded(
    lowering: FunctionLowering, op: LoadColumnsOp, place: Lane, guards: Sequence[SSAValue]
) -> SSAValue:
    """Where a guard is false the first element of the array is read instead, and 0 used."""
    element = lane_element(op.result.type)
    base, size = lowering.value(op.memref), element_bytes(element)
    invariant = op.memref in lowering.read_only
    numbers: list[SSAValue] = []
    zero = lowering.insert(llvm.ConstantOp(FloatAttr(0.0, element), element))
    for pointer, guard in zip(place.pointers, guards, strict=True):
        valid = lowering.insert(llvm.SelectOp(guard, pointer, base))
        number = load(lowering, valid, element, size, invariant)
        numbers.append(lowering.insert(llvm.SelectOp(guard, number, zero)))
    return numbers[0] if len(numbers) == 1 else join(lowering, numbers)


def lower_store_columns(lowering: FunctionLowering, op: StoreColumnsOp) -> Sequence[SSAValue]:
    lane, value = op.value.type, lowering.value(op.value)
    streaming = op.streaming is not None
    place, _ = _lane_in_memory(lowering, op, lane_width(lane))
    if len(place.pointers) == 1:
        [pointer] = place.pointers
        alignment = lane_alignment(lowering, lane)
        lowering.do(llvm.StoreOp(value, pointer, alignment, nontemporal=streaming))
        return []
    size = element_bytes(lane_element(lane))
    numbers = [extract(lowering, value, column) for column in range(lane_width(lane))]
    stores = [
        llvm.StoreOp(number, pointer, size, nontemporal=streaming)
        for number, pointer in zip(numbers, place.pointers, strict=True)
    ]
    if place.second is None:
        for store in stores:
            lowering.do(store)
        return []
    first, last = stores
    lowering.do(first)
    guarded, after = lowering.new_block([]), lowering.new_block([])
    lowering.do(cf.ConditionalBranchOp(place.second, guarded, [], after, []))
    lowering.start(guarded)
    lowering.do(last)
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
