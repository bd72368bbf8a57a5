"""How a product is cut up for a CPU: pieces of lanes, packed rows, shares of threads, threads."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsert_ir.cost_model.cpu import CpuFacts, predict_cpu
from sparsert_ir.cpu.column_tiles import ColumnTiles, pieces
from sparsert_ir.cpu.host_threads import ThreadBuffers, available_cores
from sparsert_ir.cpu.row_packing import GROUP, pack
from sparsert_ir.cpu.simd import AVX2, AVX512, NEON, SSE, Simd, simd_of
from sparsert_ir.cpu.work_shares import shares, work_parts
from sparsert_ir.element_types import DTYPES
from sparsert_ir.errors import ScheduleError
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.cpu import best_cpu_schedule, cpu_candidates, threads_for


@given(width=st.integers(1, 600))
def test_pieces_are_powers_of_two_that_cover_the_lane_and_no_more(width: int) -> None:
    covered = {start + i for start, size in pieces(width) for i in range(size)}
    assert covered == set(range(width))
    assert all(size & (size - 1) == 0 for _, size in pieces(width))


@given(columns=st.integers(1, 1000), width=st.integers(1, 300))
def test_tiles_cover_the_columns(columns: int, width: int) -> None:
    tiles = ColumnTiles(columns, min(width, columns))
    assert sum(tiles.width_of(tile) for tile in range(tiles.count)) == columns
    assert tiles.row_stride >= tiles.width


@given(
    lengths=st.lists(st.integers(0, 11), min_size=1, max_size=12),
    grouped=st.booleans(),
    wide=st.booleans(),
    data=st.data(),
)
def test_packed_rows_hold_every_nonzero_once_in_order(
    lengths: list[int], grouped: bool, wide: bool, data: st.DataObject
) -> None:
    depth = 70_000 if wide else 12
    dense = np.zeros((len(lengths), depth), np.float32)
    for row, length in enumerate(lengths):
        dense[row, depth - length :] = np.arange(1, length + 1)
    matrix = SparseMatrix.of(dense)
    rows = data.draw(st.permutations([*range(len(lengths)), -1]))
    packed = pack(
        matrix.row_offsets,
        matrix.column_indices,
        matrix.values,
        depth,
        np.array(rows).reshape(-1, 1),
        grouped=grouped,
    )
    assert packed.index_bits == (32 if wide else 16)
    columns = packed.words.view(f"u{packed.index_bits // 8}").reshape(-1, GROUP)
    for place, row in enumerate(rows):
        (group, single), (group_end, single_end) = packed.offsets[place : place + 2]
        found = [*columns[group:group_end].ravel(), *packed.columns[single:single_end]]
        values = [*packed.group_values[group:group_end].ravel(), *packed.values[single:single_end]]
        expected = np.flatnonzero(dense[row]) if row >= 0 else np.array([], int)
        assert found == expected.tolist()
        assert values == dense[row, expected].tolist()


@given(
    columns=st.integers(1, 300),
    width=st.integers(1, 100),
    work=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    threads=st.integers(1, 9),
)
def test_shares_deal_every_tile_of_every_panel_once(
    columns: int, width: int, work: list[int], threads: int
) -> None:
    tiles = ColumnTiles(columns, min(width, columns))
    dealt = shares(tiles, np.array(work), threads)
    assert 1 <= len(dealt) <= threads
    done = np.zeros((tiles.count, len(work)), int)
    loads: list[int] = []
    for share in dealt:
        assert share
        before = done.copy()
        for part in share:
            first, last, first_panel, last_panel = part.bounds
            assert first < last
            assert first_panel < last_panel
            done[first:last, first_panel:last_panel] += 1
        widths = np.array([tiles.width_of(tile) for tile in range(tiles.count)])
        loads.append(int(((done - before) * np.outer(widths, work)).sum()))
    assert (done == 1).all()
    largest = max(work) * tiles.width
    assert max(loads) <= sum(loads) / threads + largest
    parts = work_parts(tiles, np.array(work), threads)
    assert len(parts) == 1 or threads > 1
    again = np.zeros_like(done)
    for part in parts:
        first, last, first_panel, last_panel = part.bounds
        again[first:last, first_panel:last_panel] += 1
    assert (again == 1).all()


def test_buffers_lie_on_cache_lines_and_belong_to_their_thread() -> None:
    kept, others = ThreadBuffers(), list[int]()
    mine = kept.address(1000)
    thread = threading.Thread(target=lambda: others.append(kept.address(1000)))
    thread.start()
    thread.join()
    assert mine % 64 == 0
    assert kept.address(10) == mine
    assert others != [mine]


def test_this_process_has_a_core() -> None:
    assert available_cores() >= 1


def test_the_model_knows_that_rows_a_power_of_two_apart_should_be_copied() -> None:
    assert best_cpu_schedule(CpuFacts(512, 512, 4096, 26_000)).staging == "copy"


@given(
    rows=st.integers(1, 4096),
    depth=st.integers(1, 4096),
    columns=st.integers(1, 20_000),
    density=st.floats(0, 1),
    dtype=st.sampled_from(DTYPES),
)
def test_the_models_choice_is_a_candidate_and_no_slower_than_any(
    rows: int, depth: int, columns: int, density: float, dtype: str
) -> None:
    facts = CpuFacts(rows, depth, columns, int(rows * depth * density), dtype)
    best = best_cpu_schedule(facts)
    candidates = cpu_candidates(facts)
    assert best in candidates
    assert predict_cpu(facts, best) == min(predict_cpu(facts, one) for one in candidates)
    assert all(1 <= one.columns_per_thread <= columns for one in candidates)


@pytest.mark.parametrize("simd", [AVX512, AVX2, SSE, NEON])
@given(columns=st.integers(1, 3000))
def test_schedules_leave_registers_for_other_numbers(simd: Simd, columns: int) -> None:
    facts = CpuFacts(64, 64, columns, 2000)
    for one in cpu_candidates(facts, simd):
        filled = simd.filled(one.columns_per_thread)
        assert filled < simd.registers
        assert one.chains == 1 or filled * one.chains <= simd.registers // 2


def test_registers_are_known_by_llvms_features() -> None:
    assert simd_of("+sse2,+avx,+avx2,+avx512f") == AVX512
    assert simd_of("+sse2,+avx,+avx2,-avx512f") == AVX2
    assert simd_of("+avx2,-avx512f") == AVX2
    assert simd_of("+sse2,-avx") == SSE
    assert simd_of("+neon,+fp-armv8") == NEON


def test_more_nonzeros_take_longer_and_threads_are_for_large_work() -> None:
    few, many = (CpuFacts(512, 512, 196, count) for count in (10_000, 20_000))
    schedule = best_cpu_schedule(few)
    assert predict_cpu(few, schedule) < predict_cpu(many, schedule)
    assert threads_for(CpuFacts(64, 64, 1, 400), schedule, 8) == 1
    assert threads_for(CpuFacts(2048, 2048, 512, 400_000), schedule, 8) == 8


def test_the_model_refuses_what_it_does_not_model() -> None:
    with pytest.raises(ScheduleError, match='only lowering = "data" is modelled'):
        predict_cpu(CpuFacts(2, 2, 2, 2), Schedule())
