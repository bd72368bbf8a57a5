"""The nonzeros of a matrix in the order in which the lanes of a GPU's warps read them."""

from dataclasses import dataclass

import numpy as np

from sparsert_ir.dense import Array, IntArray
from sparsert_ir.gpu_facts import MMA_DEPTH, MMA_TILE, WARP

PIECE_BYTES = 16
"""The array that holds x in shared memory is made of such."""
MMA_LINES = 8
"""Of a warp: each four lanes that hold nonzeros of one row."""
_LINE_LANES = WARP // MMA_LINES
INDEX_LIMIT = 2**16 - 1
"""The largest column number that an index can hold."""
_WAVEFRONT_BYTES = 128
"""Bytes that shared memory delivers to a warp at once, one word from each bank."""
_WORD_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class StreamLayout:
    """Where a nonzero lies in the stream, and which lane multiplies it.

    A warp computes one panel: the first `panels[0]` panels have `panel_rows[0]` rows, the next
    `panels[1]` have `panel_rows[1]`, and so on. `column_groups` lanes read the same nonzeros, for
    different columns of x: together they are one reader. The readers of a warp share its rows
    evenly, and a reader takes `chunk` nonzeros at a time. A step of the warp is one chunk of every
    reader. The columns of the matrix are cut into slices of `slice_columns`; a panel's steps of one
    slice follow each other. Column indices count from the start of the slice.

    row_bytes: bytes of a row of x that lie together in shared memory; decides which rows lie in the
               same bank.
    together:  nonzeros of a row that an instruction multiplies: 1, or 16 on tensor cores. There
               every lane is a reader; four lanes are a line, the rows of a panel share the lines
               evenly, and a line takes 16 nonzeros at a time. Lane 4g + t of a warp holds the
               values of numbers 2t, 2t + 1, 2t + 8 and 2t + 9 of line g; lane 16h + 8o + j holds
               the indices of number 8h + j of the lines o, 2 + o, 4 + o and 6 + o.
    """

    panel_rows: tuple[int, ...]
    panels: tuple[int, ...]
    column_groups: int
    chunk: int
    slice_columns: int
    slices: int
    row_bytes: int
    together: int = 1

    @property
    def readers(self) -> int:
        """Of a warp."""
        return WARP // self.column_groups

    @property
    def readers_per_row(self) -> tuple[int, ...]:
        """For each height of panels."""
        return tuple(self.readers // rows for rows in self.panel_rows)

    @property
    def banks(self) -> int:
        """Words or rows of x, whichever are longer, that can be read at once."""
        return max(1, _WAVEFRONT_BYTES // max(self.row_bytes, _WORD_BYTES))

    def bank(self, local: Array) -> Array:
        """Where a row of x lies in shared memory; rows in one bank are read one after another."""
        rows_per_word = max(1, _WORD_BYTES // self.row_bytes)
        return local // rows_per_word % self.banks


@dataclass(frozen=True)
class Stream:
    """A packed matrix of S slices, P panels and T steps, for L readers of a warp.

    values:  (T * L) x chunk; 0 where a reader has no nonzero left.
    indices: (T * L) x chunk, int16 holding unsigned column numbers within the slice;
             `slice_columns`, a row of zeros in shared memory, where a reader has no nonzero left.
    starts:  P * S + 1 steps: panel p, slice s begins at `starts[p * S + s]`.
    """

    values: Array
    indices: Array
    starts: IntArray


def most_rows_held(row_bytes: int, shared_memory: int) -> int:
    """Rows of x, of so many bytes each, that a block can hold at once beside its row of zeros: as
    many as fit in its `shared_memory` bytes and have an index. 0 or less where none does.
    """
    usable = shared_memory // PIECE_BYTES * PIECE_BYTES
    return min(usable // row_bytes - 1, INDEX_LIMIT)


def similar_panels(row_lengths: Array, rows_per_panel: int) -> IntArray:
    """Rows of about the same number of nonzeros share a panel, the longest first.

    Lanes of a warp advance together, so a panel takes as many steps as its longest row.
    Returns P x R row numbers, filled up with -1.
    """
    order = np.argsort(-row_lengths, kind="stable").astype(np.int32)
    panels = -(-order.size // rows_per_panel)
    table = np.full(panels * rows_per_panel, -1, np.int32)
    table[: order.size] = order
    return table.reshape(panels, rows_per_panel)


@dataclass(frozen=True)
class _Slots:
    """Per slot, a row's place in the panels: the panel, the readers, the first one's number."""

    panel: Array
    readers: Array
    first_reader: Array

    @classmethod
    def of(cls, layout: StreamLayout) -> "_Slots":
        heights = np.repeat(layout.panel_rows, layout.panels)
        panel = np.repeat(np.arange(heights.size), heights)
        within = np.arange(panel.size) - np.repeat(np.cumsum(heights) - heights, heights)
        readers = layout.readers // heights[panel]
        return cls(panel, readers, within * readers)


def pack_stream(
    offsets: Array, columns: Array, values: Array, rows: IntArray, layout: StreamLayout
) -> Stream:
    """Pack a CSR matrix; vectorised, a few sorts of its nonzeros.

    The nonzeros of a row are dealt to its readers so that what they read at the same time lies in
    different banks of shared memory where it can.
    rows: the row of each slot, panel by panel; -1 for none.
    """
    slots = _Slots.of(layout)
    segment, local, slot = _segments(offsets, columns, rows, layout)
    order = _bank_order(segment, local, slots.first_reader[slot], layout)
    counts = np.bincount(segment, minlength=rows.size * layout.slices)
    place = np.arange(order.size) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = _starts(counts.reshape(rows.size, layout.slices), slots, layout)
    slot = slot[order]
    readers = slots.readers[slot]
    step, rest = np.divmod(place, readers * layout.chunk)
    step += starts[slots.panel[slot] * layout.slices + segment[order] % layout.slices]
    deal = _deal_to_readers if layout.together == 1 else _deal_to_lines
    value_place, index_place = deal(rest, readers, slots.first_reader[slot], layout)
    per_step = layout.readers * layout.chunk
    packed = np.zeros(int(starts[-1]) * per_step, values.dtype)
    packed[step * per_step + value_place] = values[order]
    numbers = np.full(packed.size, layout.slice_columns, np.uint16)
    numbers[step * per_step + index_place] = local[order]
    shape = (-1, layout.chunk)
    return Stream(
        packed.reshape(shape), numbers.view(np.int16).reshape(shape), starts.astype(np.int32)
    )


def _deal_to_readers(
    number: Array, readers: Array, first_reader: Array, layout: StreamLayout
) -> tuple[Array, Array]:
    """Where nonzero `number` of a row's step has its value, and its index, in that step."""
    turn, reader = np.divmod(number, readers)
    place = (first_reader + reader) * layout.chunk + turn
    return place, place


def _deal_to_lines(
    number: Array, readers: Array, first_reader: Array, layout: StreamLayout
) -> tuple[Array, Array]:
    """The same for tensor cores: 16 that follow each other are one column of a matrix."""
    group, rest = np.divmod(number, MMA_DEPTH * (readers // _LINE_LANES))
    line, depth = np.divmod(rest, MMA_DEPTH)
    line += first_reader // _LINE_LANES
    half, row = np.divmod(depth, MMA_TILE)
    value_lane = line * _LINE_LANES + row // 2
    value_place = half * 2 + row % 2
    index_lane = (half * 2 + line % 2) * MMA_TILE + row
    first = group * _LINE_LANES
    return (
        value_lane * layout.chunk + first + value_place,
        index_lane * layout.chunk + first + line // 2,
    )


def _starts(counts: Array, slots: _Slots, layout: StreamLayout) -> Array:
    """Where the steps of each panel and slice begin; `counts` are the nonzeros of slots x slices.

    Every panel takes a step in the first slice, so that the step before any later one exists: it is
    what a panel without nonzeros in a slice loads in vain.
    """
    steps = -(-counts // (layout.chunk * slots.readers[:, np.newaxis]))
    first_slots = np.flatnonzero(slots.first_reader == 0)
    longest = np.maximum.reduceat(steps, first_slots, axis=0)
    starts = np.zeros(longest.size + 1, np.int64)
    longest[:, 0] = np.maximum(longest[:, 0], 1)
    np.cumsum(longest.ravel(), out=starts[1:])
    return starts


def _segments(
    offsets: Array, columns: Array, rows: IntArray, layout: StreamLayout
) -> tuple[Array, Array, Array]:
    """For each nonzero: its (slot, slice) as one number, its column in the slice, its slot."""
    slot_of_row = np.empty(offsets.size - 1, np.int64)
    slot_of_row[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    slot = np.repeat(slot_of_row, np.diff(offsets))
    slice_number, local = np.divmod(columns.astype(np.int64), layout.slice_columns)
    return slot * layout.slices + slice_number, local, slot


def _bank_order(segment: Array, local: Array, first_reader: Array, layout: StreamLayout) -> Array:
    """Segment by segment, the nonzeros in rounds that take one of each bank.

    Rows of a panel start their rounds at different banks, those of their readers, since they are
    read together.
    """
    bank = (layout.bank(local) - first_reader) % layout.banks
    key = segment * layout.banks + bank
    by_bank = np.argsort(key, kind="stable")
    counts = np.bincount(key)
    counts = counts[counts > 0]
    rank = np.empty(key.size, np.int64)
    rank[by_bank] = np.arange(key.size) - np.repeat(np.cumsum(counts) - counts, counts)
    rounds = int(rank.max(initial=0)) + 1
    return np.argsort((segment * rounds + rank) * layout.banks + bank, kind="stable")
