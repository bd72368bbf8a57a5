"""Loads and stores: bounds, races and uninitialised memory; the `memref` dialect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn, cast

import numpy as np
from xdsl.dialects import memref
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, MemRefType
from xdsl.ir import Attribute, Operation

from sparsert_ir.dense import Array
from sparsert_ir.interpreter.machine import Frame, Handler, Operands, Value
from sparsert_ir.interpreter.memory import (
    Memory,
    dense_elements,
    element_dtype,
    is_workgroup,
    poisoned,
    static_shape,
)
from sparsert_ir.interpreter.races import AccessLog, BoolArray, IndexArray


@dataclass(frozen=True)
class Access:
    """Elements that the active threads of a frame touch, shape (..., active threads, width).

    place:  positions in the memory's flat elements.
    exists: which of the elements are touched at all; None: every one.
    """

    frame: Frame
    op: Operation
    memory: Memory
    place: IndexArray
    exists: BoolArray | None

    def existing(self) -> tuple[IndexArray, IndexArray]:
        """Positions of the elements that exist, and the thread that touches each; flat."""
        lanes = np.broadcast_to(self.frame.lanes[:, np.newaxis], self.place.shape)
        if self.exists is None:
            return self.place.reshape(-1), lanes.reshape(-1)
        return self.place[self.exists], lanes[self.exists]

    def where(self, rows: BoolArray) -> "Access":
        """The same access for the rows (first axes) in the mask only; others do not exist."""
        mask = np.broadcast_to(rows[..., np.newaxis], self.place.shape)
        exists = mask if self.exists is None else self.exists & mask
        return Access(self.frame, self.op, self.memory, self.place, exists)

    def same_in(self, memory: Memory) -> "Access":
        """The same elements of another memory of that shape."""
        return Access(self.frame, self.op, memory, self.place, self.exists)

    def fail(self, place: int, lane: int, what: str) -> NoReturn:
        own = place % self.memory.size
        index = [int(i) for i in np.unravel_index(own, self.memory.shape)]
        shape = list(self.memory.shape)
        self.frame.fail(self.op, f"element {index} of shape {shape} {what}", lane)


def locate(
    frame: Frame, op: Operation, memory: Memory, indices: Sequence[IndexArray], width: int = 1
) -> Access:
    """The `width` elements that start at `indices` (of the active threads, on the last axis); all
    of them must be inside.
    """
    if len(indices) != len(memory.shape):
        frame.fail(op, f"expected {len(memory.shape)} indices, got {len(indices)}")
    return Access(frame, op, memory, _place(frame, op, memory, indices, width, width), None)


def locate_lane(
    frame: Frame, op: Operation, memory: Memory, indices: Sequence[IndexArray], width: int
) -> Access:
    """The elements of a lane that starts at `indices`.

    In a kernel a lane starts inside, at a multiple of its width, and columns past the end do not
    exist; in host code a lane may start anywhere and must end inside.
    """
    if frame.launch is None:
        return locate(frame, op, memory, indices, width)
    place = _place(frame, op, memory, indices, width, 1)
    first = indices[-1]
    _check_multiple(frame, op, first, width)
    if (first <= memory.shape[-1] - width).all():
        return Access(frame, op, memory, place, None)
    exists = first[..., np.newaxis] + np.arange(width) < memory.shape[-1]
    return Access(frame, op, memory, place, np.broadcast_to(exists, place.shape))


def _check_multiple(frame: Frame, op: Operation, first: IndexArray, width: int) -> None:
    if (first % width).any():
        shape = np.broadcast_shapes((frame.lanes.size,), first.shape)
        where = tuple(np.argwhere(np.broadcast_to(first % width, shape))[0])
        column = int(np.broadcast_to(first, shape)[where])
        lane = int(frame.lanes[where[-1]])
        frame.fail(op, f"expected a first column that is a multiple of {width}, got {column}", lane)


def check_first_columns(
    frame: Frame, op: Operation, first: IndexArray, width: int, columns: int
) -> BoolArray:
    """Check where lanes of a matrix of that many columns start; returns which of their columns
    exist, as `locate_lane` does.
    """
    in_kernel = frame.launch is not None
    outside = (first < 0) | (first > columns - (1 if in_kernel else width))
    if outside.any():
        where = tuple(np.argwhere(outside)[0])
        column, lane = int(first[where]), int(frame.lanes[where[-1]])
        frame.fail(op, f"column {column} out of bounds of {columns} columns", lane)
    if in_kernel:
        _check_multiple(frame, op, first, width)
    return first[..., np.newaxis] + np.arange(width) < columns


def _place(
    frame: Frame,
    op: Operation,
    memory: Memory,
    indices: Sequence[IndexArray],
    width: int,
    width_inside: int,
) -> IndexArray:
    """Positions of `width` elements from `indices` on, the first `width_inside` of them inside."""
    start: IndexArray = np.zeros(frame.lanes.size, np.int64)
    if memory.workgroup and frame.in_cluster:
        start = frame.ranks[frame.lanes] * memory.size
    last = len(indices) - 1
    for axis, (index, stride) in enumerate(zip(indices, memory.strides, strict=True)):
        end = memory.shape[axis] - (width_inside - 1 if axis == last else 0)
        outside = (index < 0) | (index >= end)
        if outside.any():
            _out_of_bounds(frame, op, memory, indices, outside, width_inside)
        start = start + index * stride
    return start[..., np.newaxis] + np.arange(width)


def _out_of_bounds(
    frame: Frame,
    op: Operation,
    memory: Memory,
    indices: Sequence[IndexArray],
    outside: BoolArray,
    width: int,
) -> NoReturn:
    shape = np.broadcast_shapes((frame.lanes.size,), *(index.shape for index in indices))
    first = tuple(np.argwhere(np.broadcast_to(outside, shape))[0])
    got = [int(np.broadcast_to(index, shape)[first]) for index in indices]
    wide = f" and {width} columns" if width > 1 else ""
    frame.fail(
        op,
        f"index {got}{wide} out of bounds of shape {list(memory.shape)}",
        int(frame.lanes[first[-1]]),
    )


def read(access: Access) -> Array:
    """The elements; poison where nothing exists."""
    check_read(access)
    elements = access.memory.elements
    if access.exists is None:
        return elements[access.place]
    found = poisoned(access.place.shape, elements.dtype)
    found[access.exists] = elements[access.place[access.exists]]
    return found


def check_read(access: Access) -> None:
    """Find races and uninitialised memory; on the host there are none."""
    launch = access.frame.launch
    if launch is None or access.memory.read_only:
        return
    log = _log(access.memory, access.frame)
    where, lanes = access.existing()
    _check_arrived(access, where)
    if access.memory.workgroup:
        _fail_where(access, ~log.writes.touched(where), "is read before any thread writes it")
    visits = access.frame.visits(lanes)
    race = log.writes.clash(where, visits)
    _fail_where(access, race, "is read after another thread wrote it, with no barrier between")
    log.reads.note(where, visits)


def write(access: Access, values: Array) -> None:
    """Store `values` where the elements exist."""
    frame, memory = access.frame, access.memory
    if memory.read_only:
        frame.fail(access.op, "expected memory that can be written, got a constant")
    if values.dtype != memory.elements.dtype:
        frame.fail(
            access.op, f"expected a value of {memory.elements.dtype}, got one of {values.dtype}"
        )
    if frame.launch is not None:
        _check_write(access, _log(memory, frame))
    if access.exists is None:
        memory.elements[access.place] = values
    else:
        memory.elements[access.place[access.exists]] = values[access.exists]
    memory.root.version += 1


def _check_write(access: Access, log: AccessLog) -> None:
    where, lanes = access.existing()
    _check_arrived(access, where)
    visits = access.frame.visits(lanes)
    race = log.reads.clash(where, visits)
    _fail_where(access, race, "is written after another thread read it, with no barrier between")
    race = log.writes.clash(where, visits) | log.writes.note(where, visits)
    _fail_where(access, race, "is written by several threads, with no barrier between")


def _check_arrived(access: Access, where: IndexArray) -> None:
    in_flight = access.memory.root.in_flight
    if in_flight is not None:
        wrong = in_flight[where]
        _fail_where(access, wrong, "is touched after it was sent, before it is waited for")


def _fail_where(access: Access, wrong: BoolArray, what: str) -> None:
    if wrong.any():
        where, lanes = access.existing()
        first = int(np.flatnonzero(wrong)[0])
        access.fail(int(where[first]), int(lanes[first]), what)


def _log(view: Memory, frame: Frame) -> AccessLog:
    memory, launch = view.root, frame.launch
    if memory.log is None or memory.log.launch is not launch:
        memory.log = AccessLog(memory.elements.size, launch, 2 if frame.in_cluster else 1)
    return memory.log


def lane_shape(lane: Attribute) -> tuple[int, ...]:
    """() for a number, (width,) for a vector."""
    return tuple(getattr(lane, "get_shape", tuple[int, ...])())


def _memref_load(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    memory, *indices = operands
    active = [index[frame.lanes] for index in indices]
    return [frame.spread(read(locate(frame, op, memory, active))[..., 0])]


def _memref_store(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    value, memory, *indices = operands
    active = [index[frame.lanes] for index in indices]
    write(locate(frame, op, memory, active), value[frame.lanes, np.newaxis])
    return []


def _get_global(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    table = frame.machine.find(op, cast(memref.GetGlobalOp, op).name_)
    if not isinstance(table, memref.GlobalOp):
        frame.fail(op, f"expected the name of a memref.global, got that of {table.name}")
    kind = table.type
    memories = frame.workgroup if is_workgroup(kind) else frame.machine.globals
    if is_workgroup(kind) and frame.launch is None:
        frame.fail(op, "expected workgroup memory in kernels only, got it in host code")
    if table not in memories:
        copies = len(frame.blocks) if is_workgroup(kind) else 1
        memories[table] = _global_memory(table, kind, copies)
    return [memories[table]]


def _global_memory(table: memref.GlobalOp, kind: MemRefType[Attribute], copies: int) -> Memory:
    shape, initial = static_shape(kind), table.initial_value
    if isinstance(initial, DenseIntOrFPElementsAttr):
        elements = dense_elements(cast("DenseIntOrFPElementsAttr[Any]", initial)).flatten()
        return Memory(elements, shape, read_only=table.constant is not None)
    elements = poisoned(copies * prod(shape), element_dtype(kind))
    return Memory(elements, shape, workgroup=is_workgroup(kind))


def _collapse_shape(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    memory: Memory = operands[0]
    shape = static_shape(cast("MemRefType[Any]", op.results[0].type))
    if prod(shape) != memory.size:
        frame.fail(op, f"expected {memory.size} elements, got shape {list(shape)}")
    return [memory.reshaped(shape)]


def _alloc(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    if frame.launch is not None:
        frame.fail(op, "expected allocations in host code only")
    kind = cast(memref.AllocOp, op).memref.type
    shape = static_shape(kind)
    return [Memory(poisoned(prod(shape), element_dtype(kind)), shape)]


def _nothing(frame: Frame, op: Operation, operands: Operands) -> list[Value]:
    return []


MEMORY_HANDLERS: Mapping[str, Handler] = {
    "memref.alloc": _alloc,
    "memref.dealloc": _nothing,
    "memref.load": _memref_load,
    "memref.store": _memref_store,
    "memref.global": _nothing,
    "memref.get_global": _get_global,
    "memref.collapse_shape": _collapse_shape,
}
