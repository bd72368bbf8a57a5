"""The prediction of times: its shape, not its numbers."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from sparsert_ir.cost_model.gpu import Product, predict_dense_us, predict_us
from sparsert_ir.cost_model.limits import GPUS, floor_us, limits_of
from sparsert_ir.emit.ptx import ARCHITECTURES
from sparsert_ir.errors import ArgumentError
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.candidates import best_candidates, gpu_candidates, neighbours
from sparsert_ir.schedules.default import gpu_schedule_for

PRODUCT = Product((512, 512), 26214, 196, "f32")


def test_every_architecture_that_we_compile_for_has_limits_and_default_schedules() -> None:
    assert set(GPUS) == set(ARCHITECTURES)
    matrix = SparseMatrix.of(np.eye(64, dtype=np.float32))
    for architecture in ARCHITECTURES:
        for lowering in ("code", "data"):
            chosen = gpu_schedule_for(matrix, 16, "f32", lowering, architecture)
            assert chosen.lowering == lowering


@pytest.mark.parametrize("architecture", GPUS)
def test_no_prediction_is_below_the_floor(architecture: str) -> None:
    limits = limits_of(architecture)
    for columns in (1, 49, 4096):
        product = replace(PRODUCT, columns=columns)
        least = floor_us(limits, product.shape, product.nonzeros, columns, "f32")
        for schedule in [*gpu_candidates(product.shape, columns, "f32")[::50], Schedule()]:
            assert predict_us(schedule, product, limits) >= least


def test_the_floor_is_the_larger_of_multiply_adds_and_bytes() -> None:
    limits = replace(limits_of("sm_90"), clock_ghz=1.0, bytes_per_second=1e12)
    assert floor_us(limits, (512, 2048), 104857, 4096, "f32") == pytest.approx(
        max(104857 * 4096 / (132 * 128 * 1e3), (512 + 2048) * 4096 * 4 / 1e6) + 0.8
    )


def test_a_product_without_nonzeros_has_a_prediction() -> None:
    empty = replace(PRODUCT, nonzeros=0)
    for lowering in ("code", "data"):
        us = predict_us(Schedule(lowering=lowering), empty, limits_of("sm_90"))
        assert 0 < us < math.inf


def test_fewer_nonzeros_are_never_predicted_to_be_slower() -> None:
    limits, schedule = limits_of("sm_90"), Schedule(rows_per_panel=32, k_groups=4)
    counts = [262144, 100000, 26214, 1000, 1]
    times = [predict_us(schedule, replace(PRODUCT, nonzeros=one), limits) for one in counts]
    assert times == sorted(times, reverse=True)


def test_dense_modes_are_ordered_by_their_speed() -> None:
    limits, large = limits_of("sm_90"), Product((4096, 4096), 10, 4096, "f16")
    f32, tf32, f16 = (predict_dense_us(large, mode, limits) for mode in ("f32", "tf32", "f16"))
    assert f32 > tf32 > f16 > 0
    assert predict_dense_us(large, "tf32", limits_of("sm_70")) == math.inf


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ArgumentError, match="sm_90"):
        limits_of("sm_35")


def test_a_short_list_of_candidates_holds_different_heights() -> None:
    dense = [[float((row * column) % 10 == 0) for column in range(64)] for row in range(64)]
    matrix = SparseMatrix.of(dense)
    best = best_candidates(matrix, 3136, "f32", "sm_90", 8)
    assert len(best) == len(set(best)) == 8
    assert len({one.rows_per_panel for one in best}) >= 3


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_candidates_are_near_the_compilers_own_choice_too(dtype: str) -> None:
    matrix = SparseMatrix.of(np.eye(512) + np.eye(512, k=5))
    own = gpu_schedule_for(matrix, 196, dtype, "code", "sm_90")
    near = neighbours(own, matrix.shape, 196, dtype)
    assert own not in near
    for one in near:
        changed = [name for name, value in asdict(own).items() if value != asdict(one)[name]]
        assert len(changed) == 1
    best = best_candidates(matrix, 196, dtype, "sm_90", 12)
    assert len(set(best) & set(near)) >= 4
    assert set(best) - set(near)


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_clusters_are_candidates_where_blocks_are_few(dtype: str) -> None:
    few, many = (
        gpu_candidates((256, 512), columns, dtype, clusters=True) for columns in (49, 12544)
    )
    assert {2, 4, 8} <= {one.cluster for one in few}
    assert all(one.cluster == 1 for one in many)
    assert all(one.cluster == 1 for one in gpu_candidates((256, 512), 49, dtype))
    for one in few:
        assert one.cluster == 1 or (one.column_tiles == 1 and one.rows_per_panel >= one.cluster)


def test_clusters_are_tried_near_the_compilers_own_choice() -> None:
    matrix = SparseMatrix.of(np.eye(256) + np.eye(256, k=5))
    best = best_candidates(matrix, 49, "f32", "sm_90", 24)
    assert any(one.cluster > 1 for one in best)
    assert all(one.cluster == 1 for one in best_candidates(matrix, 49, "f32", "sm_89", 24))
    own = gpu_schedule_for(matrix, 49, "f32", "code", "sm_90")
    near = neighbours(own, matrix.shape, 49, "f32", clusters=True)
    assert replace(own, cluster=2) in near


def test_blocks_that_share_a_panel_shorten_its_way_but_cost_a_meeting() -> None:
    limits = limits_of("sm_90")
    deep = replace(PRODUCT, shape=(256, 2048), nonzeros=52428, columns=49)
    one = Schedule(rows_per_panel=8, k_groups=4)
    assert predict_us(replace(one, cluster=4), deep, limits) < predict_us(one, deep, limits)
    small = replace(PRODUCT, shape=(256, 64), nonzeros=100, columns=49)
    assert predict_us(replace(one, cluster=4), small, limits) > predict_us(one, small, limits)
