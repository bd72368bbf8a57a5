"""How a memory is taken for a matrix: as it is, through a window, or at positions."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from xdsl.ir import Operation

from sparsert_ir.dense import Array
from sparsert_ir.dialects.sparsert import WindowAttr
from sparsert_ir.interpreter.machine import Frame
from sparsert_ir.interpreter.memory import Memory
from sparsert_ir.interpreter.memory_ops import Access, check_first_columns, locate_lane
from sparsert_ir.window import Window


class View(Protocol):
    """A matrix in a memory."""

    @property
    def memory(self) -> Memory: ...

    @property
    def row_count(self) -> int: ...

    def gather(self, rows: Array) -> Array:
        """Whole rows; 0 where a row has no element."""
        ...

    def locate(self, frame: Frame, op: Operation, rows: Array, first: Array, width: int) -> Access:
        """The lanes of `width` columns from `first` (of the active threads) on; rows broadcast."""
        ...


@dataclass(frozen=True)
class MatrixView:
    """A memory of two dimensions."""

    memory: Memory

    @property
    def row_count(self) -> int:
        return self.memory.shape[0]

    def gather(self, rows: Array) -> Array:
        return self.memory.elements.reshape(self.memory.shape)[rows]

    def locate(self, frame: Frame, op: Operation, rows: Array, first: Array, width: int) -> Access:
        return locate_lane(frame, op, self.memory, [rows, first], width)


@dataclass(frozen=True)
class PositionsView:
    """A memory of one dimension; row k begins at element k."""

    memory: Memory

    @property
    def row_count(self) -> int:
        return self.memory.shape[0]

    def gather(self, rows: Array) -> Array:
        columns = self.memory.shape[0] - int(rows.max(initial=0))
        return self.memory.elements[rows[:, np.newaxis] + np.arange(columns)]

    def locate(self, frame: Frame, op: Operation, rows: Array, first: Array, width: int) -> Access:
        return locate_lane(frame, op, self.memory, [rows + first], width)


@dataclass(frozen=True)
class WindowView:
    """An array of images."""

    memory: Memory
    window: Window

    @property
    def row_count(self) -> int:
        return self.window.depth

    def gather(self, rows: Array) -> Array:
        place, inside = self._places(rows[:, np.newaxis], np.arange(self.window.columns))
        elements = self.memory.elements
        return np.where(inside, elements[place], elements.dtype.type(0))

    def locate(self, frame: Frame, op: Operation, rows: Array, first: Array, width: int) -> Access:
        if ((rows < 0) | (rows >= self.window.depth)).any():
            frame.fail(op, f"expected rows of the window, below {self.window.depth}")
        if self.memory.workgroup and frame.in_cluster:
            frame.fail(op, "expected images in global memory, got a cluster's workgroup memory")
        exists = check_first_columns(frame, op, first, width, self.window.columns)
        self._check_neighbours(frame, op, first, width)
        columns = np.minimum(first[..., np.newaxis] + np.arange(width), self.window.columns - 1)
        place, inside = self._places(rows[..., np.newaxis], columns)
        return Access(frame, op, self.memory, place, exists & inside)

    def _check_neighbours(self, frame: Frame, op: Operation, first: Array, width: int) -> None:
        """In host code a lane of columns that can be neighbours consists of neighbours."""
        adjacent = self.window.adjacent_columns
        over = first % adjacent + width > adjacent
        if frame.launch is None and adjacent > 1 and over.any():
            column = int(first[over][0])
            frame.fail(op, f"lane of {width} columns from {column} on runs over an image's end")

    def _places(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        inside = self.window.inside(rows, columns)
        place = self.window.row_offsets(rows) + self.window.column_offsets(columns)
        return np.where(inside, place, 0), inside


def view_of(memory: Memory, window: WindowAttr | None) -> View:
    """The matrix that an operation with or without a window sees in `memory`."""
    if window is not None:
        return WindowView(memory, window.data)
    return PositionsView(memory) if len(memory.shape) == 1 else MatrixView(memory)
