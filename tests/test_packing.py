"""Packing a matrix: each nonzero lies exactly once where its row's lanes read it."""

import time
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsert_ir.dense import Array, IntArray
from sparsert_ir.gpu_facts import MMA_DEPTH, WARP
from sparsert_ir.layout.packing import MMA_LINES, Stream, StreamLayout, pack_stream, similar_panels
from sparsert_ir.layout.row_lanes import warp_panels
from sparsert_ir.matrix import SparseMatrix


@dataclass(frozen=True)
class Packed:
    """A matrix, how it is packed, and what came out."""

    dense: Array
    rows: IntArray
    layout: StreamLayout
    stream: Stream

    def rows_of_readers(self) -> Array:
        """P x L: the row that each reader of each panel works on."""
        layout = self.layout
        heights = np.repeat(layout.panel_rows, layout.panels)
        return np.repeat(self.rows, layout.readers // np.repeat(heights, heights)).reshape(
            -1, layout.readers
        )

    def local(self) -> Array:
        """The index of each place in `values`, as an unsigned number.

        On tensor cores a group of four values of lane 4g + t are those of numbers 2t, 2t + 1,
        2t + 8 and 2t + 9 of line g; lane 16h + 8o + j has the indices of number 8h + j of the
        lines o, 2 + o, 4 + o and 6 + o.
        """
        indices = self.stream.indices.view(np.uint16).astype(np.int64)
        if self.layout.together == 1:
            return indices
        groups = self.layout.chunk // 4
        # Of each step: h, o, j // 2 and j % 2; group, line // 2.
        by_number = indices.reshape(-1, 2, 2, 4, 2, groups, MMA_LINES // 2)
        by_lane = by_number.transpose(0, 6, 2, 3, 5, 1, 4)
        return by_lane.reshape(-1, self.layout.chunk)

    def entries(self) -> tuple[Array, Array, Array]:
        """Rows, columns and values of the places that are not filled up."""
        layout, stream = self.layout, self.stream
        steps = np.diff(stream.starts)
        segment = np.repeat(np.arange(steps.size), steps)
        panel, number = np.divmod(segment, layout.slices)
        row = self.rows_of_readers()[panel].ravel()
        local = self.local()
        column = local + np.repeat(number, layout.readers)[:, np.newaxis] * layout.slice_columns
        used = local != layout.slice_columns
        return (
            np.broadcast_to(row[:, np.newaxis], used.shape)[used],
            column[used],
            stream.values[used],
        )


def _packed(dense: Array, slice_columns: int, *, height: int, **layout: int) -> Packed:
    """With panels as `sparsert-map-data-to-gpu` deals them, for blocks of 2 warps."""
    matrix = SparseMatrix.of(dense)
    offsets, columns, values = matrix.row_offsets, matrix.column_indices, matrix.values
    lengths = np.diff(offsets)
    dealt = warp_panels(
        similar_panels(lengths, 1).ravel(),
        lengths,
        height=height,
        tallest=MMA_LINES if layout.get("together", 1) > 1 else WARP // layout["column_groups"],
        multiple_of=2,
    )
    whole = StreamLayout(
        slice_columns=slice_columns,
        slices=-(-dense.shape[1] // slice_columns),
        panel_rows=dealt.panel_rows,
        panels=dealt.panels,
        **layout,
    )
    stream = pack_stream(offsets, columns, values, dealt.rows, whole)
    return Packed(dense, dealt.rows, whole, stream)


@st.composite
def packings(draw: st.DrawFn) -> Packed:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, depth = draw(st.integers(1, 40)), draw(st.integers(1, 90))
    density = draw(st.sampled_from((0.0, 0.02, 0.3, 1.0)))
    present = random.random((rows, depth)) < density * random.random((rows, 1)) * 2
    together = draw(st.sampled_from((1, MMA_DEPTH)))
    height = draw(st.sampled_from((1, 2, 4, 8, 16, 32) if together == 1 else (1, 2, 4, 8)))
    groups = [g for g in (1, 2, 4, 8, 16, 32) if g * height <= WARP]
    return _packed(
        (random.standard_normal((rows, depth)) * present).astype(np.float32),
        slice_columns=draw(st.integers(1, depth)),
        height=height,
        column_groups=draw(st.sampled_from(groups if together == 1 else [1])),
        chunk=draw(st.sampled_from((1, 2, 4, 8) if together == 1 else (4, 8))),
        row_bytes=draw(st.sampled_from((2, 4, 8, 16, 64, 256))),
        together=together,
    )


@given(packings())
def test_every_nonzero_is_exactly_once_at_a_reader_of_its_row(packed: Packed) -> None:
    rows, columns, values = packed.entries()
    assert (rows >= 0).all()
    again = np.zeros_like(packed.dense)
    again[rows, columns] = values
    np.testing.assert_array_equal(again, packed.dense)
    assert values.size == np.count_nonzero(packed.dense)


@given(packings())
def test_places_without_a_nonzero_hold_0_and_point_at_the_row_of_zeros(packed: Packed) -> None:
    local = packed.local()
    empty = packed.stream.values == 0
    np.testing.assert_array_equal(local[empty], packed.layout.slice_columns)
    assert (local[~empty] < packed.layout.slice_columns).all()


@given(packings())
def test_every_panel_has_in_every_slice_as_many_steps_as_its_longest_row_needs(
    packed: Packed,
) -> None:
    layout = packed.layout
    padded = np.zeros((packed.dense.shape[0] + 1, layout.slices * layout.slice_columns))
    padded[:-1, : packed.dense.shape[1]] = packed.dense != 0
    counts = padded.reshape(padded.shape[0], layout.slices, -1).sum(axis=2)
    expected: list[int] = []
    for rows in packed.rows_of_readers():
        readers = np.count_nonzero(rows == rows[0])
        if rows[0] == -1:
            readers = layout.readers
        steps = np.ceil(counts[rows].max(axis=0) / (layout.chunk * readers))
        steps[0] = max(steps[0], 1)
        expected += steps.astype(int).tolist()
    np.testing.assert_array_equal(np.diff(packed.stream.starts), expected)
    assert packed.stream.values.shape == (sum(expected) * layout.readers, layout.chunk)


@given(packings())
def test_every_row_has_readers_and_longer_rows_have_as_many_or_more(packed: Packed) -> None:
    rows = packed.rows_of_readers()
    readers = np.bincount(rows[rows >= 0], minlength=packed.dense.shape[0])
    assert (readers >= 1).all()
    lengths = np.count_nonzero(packed.dense, axis=1)
    assert (np.diff(readers[np.lexsort((readers, lengths))]) >= 0).all()


def test_rows_twice_as_long_have_twice_as_many_readers() -> None:
    lengths = np.array([100] * 16 + [200] * 3 + [400, 1600] + [50] * 16)
    rows = similar_panels(lengths, 1).ravel()
    dealt = warp_panels(rows, lengths, height=8, tallest=32, multiple_of=4)
    assert round(lengths.mean()) == 135
    assert dealt.panel_rows == (1, 2, 4, 8, 16)
    assert dealt.panels == (1, 1, 1, 2, 3)
    np.testing.assert_array_equal(dealt.rows[:7], [20, 19, 16, 17, 18, 0, 1])


def test_a_matrix_of_zeros_takes_one_empty_step_for_each_panel() -> None:
    packed = _packed(
        np.zeros((6, 5), np.float32), 5, height=4, column_groups=2, chunk=2, row_bytes=8
    )
    np.testing.assert_array_equal(packed.stream.starts, [0, 1, 2])
    assert not packed.stream.values.any()
    assert (packed.stream.indices == 5).all()


def test_more_columns_than_an_index_can_count_are_cut_into_slices() -> None:
    dense = np.zeros((3, 140_000), np.float32)
    dense[0, [0, 65_534, 65_535, 139_999]] = [1, 2, 3, 4]
    dense[2, 70_000] = 5
    packed = _packed(dense, 65_535, height=2, column_groups=1, chunk=4, row_bytes=2)
    rows, columns, values = packed.entries()
    order = np.lexsort((columns, rows))
    np.testing.assert_array_equal(rows[order], [0, 0, 0, 0, 2])
    np.testing.assert_array_equal(columns[order], [0, 65_534, 65_535, 139_999, 70_000])
    np.testing.assert_array_equal(values[order], [1, 2, 3, 4, 5])


def test_rows_of_similar_length_share_a_panel() -> None:
    panels = similar_panels(np.array([1, 9, 0, 8, 5]), 2)
    np.testing.assert_array_equal(panels, [[1, 3], [4, 0], [2, -1]])


def _wavefronts(packed: Packed) -> float:
    """How often shared memory is read for one nonzero of every reader, on average."""
    layout = packed.layout
    local = packed.stream.indices.view(np.uint16).reshape(-1, layout.readers, layout.chunk)
    at_once = min(layout.readers, layout.banks)
    together = local.swapaxes(1, 2).reshape(-1, at_once).astype(np.int64)
    word = together * layout.row_bytes // max(layout.row_bytes, 4)
    counts = [np.bincount(np.unique(words) % layout.banks).max() for words in word]
    return float(np.mean(counts)) * layout.readers / at_once


@pytest.mark.parametrize(
    ("row_bytes", "least", "in_order"), [(2, 1, 3.4), (4, 1, 3.4), (8, 2, 6.1), (16, 4, 10.2)]
)
def test_readers_mostly_read_from_different_banks(
    row_bytes: int, least: int, in_order: float
) -> None:
    """Much nearer to the least possible than readers with runs of a row, in order, would be."""
    random = np.random.default_rng(0)
    dense = (random.random((64, 4096)) < 0.1).astype(np.float32)
    packed = _packed(dense, 4096, height=2, column_groups=1, chunk=4, row_bytes=row_bytes)
    assert least <= _wavefronts(packed) < least + 0.4 * (in_order - least)


def test_packing_1_7_million_nonzeros_takes_about_a_second() -> None:
    random = np.random.default_rng(0)
    matrix = SparseMatrix.of(
        np.where(random.random((4096, 4096)) < 0.1, np.float16(1), np.float16(0))
    )
    lengths = np.diff(matrix.row_offsets)
    rows = similar_panels(lengths, 1).ravel()
    arrays = (matrix.row_offsets, matrix.column_indices, matrix.values)
    begin = time.process_time()
    dealt = warp_panels(rows, lengths, height=2, tallest=32, multiple_of=8)
    layout = StreamLayout(
        panel_rows=dealt.panel_rows,
        panels=dealt.panels,
        column_groups=1,
        chunk=4,
        slice_columns=4096,
        slices=1,
        row_bytes=8,
    )
    pack_stream(*arrays, dealt.rows, layout)
    assert time.process_time() - begin < 2
