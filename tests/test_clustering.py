"""Rows that share columns share a panel: fewer loads, panels as even as before, the same bits."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from compiling import pruned
from hypothesis import given
from hypothesis import strategies as st

import sparsert_ir
from sparsert_ir import Schedule
from sparsert_ir.cost_model.gpu import Product, predict_us
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.cost_model.panel_work import PanelWork
from sparsert_ir.dense import IntArray
from sparsert_ir.layout import clustering as clustering_module
from sparsert_ir.layout.clustering import clustered_panels
from sparsert_ir.layout.dealing import deal_rows, touched_columns
from sparsert_ir.layout.partition import balanced_panels
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedules.candidates import best_candidates
from sparsert_ir.schedules.default import gpu_schedule_for

PERMUTATIONS = ("balanced", "clustered")
CLUSTERED = Schedule(permutation="clustered", rows_per_panel=8)


def matrix_of(rows: int, columns: int, density: float, seed: int = 0) -> SparseMatrix:
    random = np.random.default_rng(seed)
    return SparseMatrix.of(random.random((rows, columns)) < density)


def uneven(rows: int = 512, columns: int = 512, density: float = 0.1) -> SparseMatrix:
    """A mask as pruning leaves it: some columns and rows hold more than others."""
    random = np.random.default_rng(1)
    importance = np.outer(random.gamma(5, 0.2, rows), random.gamma(2, 0.5, columns))
    return SparseMatrix.of(random.random((rows, columns)) < density * importance)


def shuffled_blocks(seed: int = 0) -> SparseMatrix:
    """Sixteen groups of eight rows, each on columns of its own, in random order."""
    blocks = np.kron(np.eye(16), np.ones((8, 8)))
    return SparseMatrix.of(np.random.default_rng(seed).permutation(blocks))


def loads(matrix: SparseMatrix, panels: IntArray) -> int:
    return int(touched_columns(matrix.row_offsets, matrix.column_indices, panels).sum())


def clustered(matrix: SparseMatrix, rows_per_panel: int) -> IntArray:
    return clustered_panels(matrix.row_offsets, matrix.column_indices, rows_per_panel)


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 50),
    st.sampled_from((0.0, 0.1, 0.5, 1.0)),
    st.integers(0, 99),
)
def test_every_row_is_dealt_once(
    rows: int, columns: int, height: int, density: float, seed: int
) -> None:
    panels = clustered(matrix_of(rows, columns, density, seed), height)
    assert panels.dtype == np.int32
    assert panels.shape == balanced_panels(np.zeros(rows), height).shape
    assert sorted(panels[panels >= 0]) == list(range(rows))
    for panel in panels:
        members = panel[panel >= 0]
        assert list(members) == sorted(members)
        assert (panel[members.size :] == -1).all()


def test_blocks_are_found_in_any_order_of_rows() -> None:
    for seed in range(5):
        matrix = shuffled_blocks(seed)
        assert loads(matrix, clustered(matrix, 8)) == 128


@pytest.mark.parametrize("rows_per_panel", [4, 8, 16, 32])
def test_panels_load_less_and_are_about_as_even(rows_per_panel: int) -> None:
    matrix = uneven()
    before = balanced_panels(matrix.row_lengths, rows_per_panel)
    after = clustered(matrix, rows_per_panel)
    assert loads(matrix, after) < 0.95 * loads(matrix, before)
    lengths = np.append(matrix.row_lengths, 0)
    most = [float(lengths[panels].sum(axis=1).max()) for panels in (before, after)]
    assert most[1] < 1.05 * most[0]


def test_a_layer_of_26_thousand_nonzeros_takes_little_time() -> None:
    matrix = uneven()
    clustered(matrix, 8)
    begin = time.process_time()
    clustered(matrix, 8)
    assert time.process_time() - begin < 0.2


def test_much_work_is_cut_into_groups_of_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = uneven(256, 128)
    monkeypatch.setattr(clustering_module, "_MOST_WORK", 400_000)
    panels = clustered(matrix, 8)
    assert sorted(panels[panels >= 0]) == list(range(256))
    assert loads(matrix, panels) < loads(matrix, balanced_panels(matrix.row_lengths, 8))


def test_touched_columns_are_counted_once_for_each_panel() -> None:
    matrix = SparseMatrix.of([[1, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 1]])
    panels = np.array([[0, 1], [2, -1], [3, -1]], np.int32)
    counts = touched_columns(matrix.row_offsets, matrix.column_indices, panels)
    assert counts.tolist() == [2, 0, 2]


def test_the_schedule_says_which_rows_share_a_panel() -> None:
    matrix = shuffled_blocks()
    arrays = matrix.row_offsets, matrix.column_indices
    dealt = [deal_rows(*arrays, replace(CLUSTERED, permutation=p)) for p in PERMUTATIONS]
    balanced, few = (loads(matrix, panels) for panels in dealt)
    assert few == 128
    assert balanced > 4 * few


def test_both_permutations_give_the_same_result_on_a_cpu() -> None:
    weight, x = pruned(40, 30, 0.3), np.arange(30 * 17, dtype=np.float32).reshape(30, 17) % 7
    weight = np.round(4 * weight)
    results = [
        sparsert_ir.compile(
            weight, 17, target="cpu", schedule=Schedule(permutation=one, rows_per_panel=4)
        )(x)
        for one in PERMUTATIONS
    ]
    assert np.array_equal(*results)
    assert np.array_equal(results[0], weight.astype(np.float32) @ x)


def test_clustered_rows_need_less_code() -> None:
    weight = shuffled_blocks().to_dense()
    kernels = [
        sparsert_ir.compile(weight, 64, target="sm_80", schedule=replace(CLUSTERED, permutation=p))
        for p in PERMUTATIONS
    ]
    balanced, few = (kernel.ptx.count("ld.global.nc") for kernel in kernels)
    assert few == 128
    assert balanced > 4 * few


def test_the_model_sees_the_loads_of_the_matrix() -> None:
    matrix, limits = shuffled_blocks(), limits_of("sm_90")
    product = Product.of(matrix, 4096, "f32")
    few, many = (
        predict_us(replace(CLUSTERED, permutation=one), product, limits)
        for one in ("clustered", "balanced")
    )
    assert few < many
    assert product.panel_work(CLUSTERED) == PanelWork(8.0, 1.0)


def test_uneven_panels_are_predicted_to_be_slower() -> None:
    weight = np.zeros((64, 512))
    weight[:32, :100] = 1
    weight[32:, :300] = 1
    product = Product.of(SparseMatrix.of(weight), 4096, "f32")
    work = product.panel_work(Schedule(rows_per_panel=1))
    assert work.busiest == pytest.approx(300 / 200)
    schedule, limits = Schedule(rows_per_panel=1, threads=512), limits_of("sm_90")
    even = replace(product, pattern=None)
    assert predict_us(schedule, product, limits) > predict_us(schedule, even, limits)


def test_the_default_and_the_tuner_cluster_where_it_saves_loads() -> None:
    matrix = uneven()
    assert gpu_schedule_for(matrix, 196, "f32", "code", "sm_90").permutation == "clustered"
    permutations = {one.permutation for one in best_candidates(matrix, 196, "f32", "sm_90", 12)}
    assert permutations == {*PERMUTATIONS}


def test_the_default_stays_balanced_where_nothing_is_saved() -> None:
    full = SparseMatrix.of(np.ones((64, 64)))
    assert gpu_schedule_for(full, 196, "f32", "code", "sm_90").permutation == "balanced"


def test_panels_are_the_same_in_any_process() -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests'); import hashlib, test_clustering as t\n"
        "print(hashlib.sha256(t.clustered(t.uneven(96, 64), 8).tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("0", "1")
    }
    assert len(digests) == 1
