"""A padded copy of part of an image in which every tap of a convolution reads neighbours in memory.

The copy holds the part channel by channel, its border filled with zeros, split by strides: rows
and columns that lie a stride apart become neighbours (a phase). A filter position is then one
distance, whatever the output pixel, so a convolution is a product whose lanes run along rows and
over their ends; the few columns computed in the padding are not kept.
"""

from dataclasses import dataclass

import numpy as np

from sparsert_ir.dense import Array
from sparsert_ir.window import Window


@dataclass(frozen=True, eq=False)
class Axis:
    """One direction of the copy.

    phases: the remainders modulo the stride that some tap needs, ascending.
    size:   rows (columns) of a plane.
    phase_of, shift_of: for each filter position its place in `phases` and its distance in a plane.
    """

    phases: Array
    size: int
    phase_of: Array
    shift_of: Array


@dataclass(frozen=True, eq=False)
class PaddedCopy:
    """The copy of what some lines of a result need: channels x phases down x phases right x planes.

    columns:   of those lines, what lies between them included: line i begins at i * pitch.
    pitch:     columns of a plane.
    """

    window: Window
    down: Axis
    right: Axis
    columns: int

    @property
    def pitch(self) -> int:
        return self.right.size

    @property
    def plane(self) -> int:
        """Elements of a plane: one phase of one channel."""
        return self.down.size * self.right.size

    @property
    def planes(self) -> int:
        """Planes of one channel."""
        return self.down.phases.size * self.right.phases.size

    def positions(self, rows: Array) -> Array:
        """Where the elements of rows of the window lie, for column 0."""
        down, right = self.down, self.right
        channel, ty, tx = self.window.taps(rows)
        plane = channel * self.planes + down.phase_of[ty] * right.phases.size + right.phase_of[tx]
        return plane * self.plane + down.shift_of[ty] * right.size + right.shift_of[tx]


def padded_copy(window: Window, lines: int) -> PaddedCopy:
    """The copy for so many lines (rows of an image of the result) that follow each other."""
    down, right = _axis(window, 0, lines), _axis(window, 1, window.output[1])
    columns = (lines - 1) * right.size + window.output[1]
    return PaddedCopy(window, down, right, columns)


def _axis(window: Window, axis: int, outputs: int) -> Axis:
    distance = np.arange(window.kernel[axis]) * window.dilation[axis]
    shift, remainder = np.divmod(distance, window.strides[axis])
    phases, phase_of = np.unique(remainder, return_inverse=True)
    return Axis(phases, outputs + int(shift.max()), phase_of, shift)


def copied_columns(window: Window, phase: int, size: int) -> tuple[int, int]:
    """The columns [begin, end) of a plane of that phase that lie inside the image."""
    stride, before = window.strides[1], window.padding[1]
    begin = max(-((phase - before) // stride), 0)
    end = min(-((phase - before - window.image[1]) // stride), size)
    begin = min(begin, size)
    return begin, max(begin, end)
