"""What is chosen, or tried, where the matrix is data on a GPU: legal, and as said."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptxas import assemble
from random_layers import GPU_DATA, Case, passes_before_llvm, run, stages, whole_numbers

import sparsert_ir
from sparsert_ir.advice import advise
from sparsert_ir.context import make_context
from sparsert_ir.cost_model.gpu import Product, predict_us
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.dialects.sparsert import StreamLayoutAttr
from sparsert_ir.element_types import Dtype
from sparsert_ir.emit.ptx import ARCHITECTURES
from sparsert_ir.errors import ScheduleError
from sparsert_ir.frontend import build_module
from sparsert_ir.gpu import stream_choice
from sparsert_ir.gpu_facts import BLOCK_THREADS, STATIC_SHARED_MEMORY, WARP, shared_memory_of
from sparsert_ir.layer_arguments import make_layer
from sparsert_ir.layout.packing import most_rows_held
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.passes.map_data_to_gpu import MapDataToGpu
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.candidates import best_candidates, data_candidates, data_neighbours
from sparsert_ir.schedules.convolution_candidates import best_convolutions
from sparsert_ir.schedules.data import data_schedule, holds_all
from sparsert_ir.schedules.default import default_gpu_schedule
from sparsert_ir.window import Window

sparse: Any = import_module("scipy.sparse")
MANY_INPUTS = 70_000
"""Inputs whose column of f16 fits in the shared memory of sm_90, but not in 16-bit indices."""


def few_nonzeros(rows: int, depth: int) -> SparseMatrix:
    """One in each row."""
    numbers = np.arange(rows)
    ones = np.ones(rows, np.float32)
    return SparseMatrix.of(sparse.coo_array((ones, (numbers, numbers * 7 % depth)), (rows, depth)))


def blocks_of_one_tile(schedule: Schedule, rows: int) -> int:
    """Of panels that are all of one height."""
    panels = -(-rows // schedule.rows_per_panel)
    in_step = -(-panels // (schedule.threads // WARP))
    return -(-in_step // schedule.panels_per_warp)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_86", "sm_90"])
@pytest.mark.parametrize("columns", [5, 8, 16, 33, 4096])
@pytest.mark.parametrize("shape", [(64, 40), (1000, 4096), (14336, 4096), (4096, 11008)])
def test_halves_are_multiplied_on_tensor_cores_without_spills(
    shape: tuple[int, int], columns: int, architecture: str, tmp_path: Path
) -> None:
    """The registers do not depend on the rows; few are packed faster."""
    for density in (0.05, 0.3):
        nonzeros = int(shape[0] * shape[1] * density)
        chosen = default_gpu_schedule(shape, columns, "f16", nonzeros, "data", architecture)
        assert chosen.instruction == "mma"
        few = few_nonzeros(chosen.rows_per_panel * 32, shape[1])
        kernel = sparsert_ir.compile(
            few, columns, dtype="f16", target=architecture, schedule=replace_turns(chosen, few)
        )
        assert assemble(kernel.ptx, architecture, tmp_path).spill_bytes == 0


def replace_turns(schedule: Schedule, matrix: SparseMatrix) -> Schedule:
    """The schedule, with no more panels in turn than the matrix has."""
    panels = -(-matrix.shape[0] // schedule.rows_per_panel)
    return replace(schedule, panels_per_warp=min(schedule.panels_per_warp, panels))


@pytest.mark.parametrize("instruction", ["fma", "mma"])
@pytest.mark.parametrize("depth", [9 * 7, 10 * 7 - 1, 23 * 7 - 3])
@pytest.mark.parametrize("columns", [8, 11])
def test_many_slices_of_x_are_exact(instruction: Any, depth: int, columns: int) -> None:
    """From nine on a loop goes over them."""
    width = 8 if instruction == "mma" else 4
    schedule = Schedule(
        lowering="data",
        instruction=instruction,
        rows_per_panel=2,
        columns_per_thread=width,
        threads=64,
        chunk=4,
        stages=2,
        accumulation="f32",
    )
    random = np.random.default_rng(0)
    weight = random.integers(1, 5, (9, depth)) * (random.random((9, depth)) < 0.15)
    layer = make_layer(
        weight, columns, bias=None, activation=None, residual=False, dtype="f16", name="deep"
    )
    module = build_module(replace(layer, schedule=schedule))
    for one in passes_before_llvm(GPU_DATA):
        memory = -(-(7 + 1) * width * 2 // 16) * 16
        given = replace(one, shared_memory=memory) if isinstance(one, MapDataToGpu) else one
        given.apply(make_context(), module)
    (kernel,) = (op for op in module.walk() if "sparsert.layout" in op.attributes)
    assert cast(StreamLayoutAttr, kernel.attributes["sparsert.layout"]).data.slices >= 9
    x = random.integers(-4, 5, (depth, columns)).astype(np.float16)
    assert np.array_equal(run(module, "deep", [x]), weight @ x)


@pytest.mark.parametrize("columns", [4, 5])
def test_any_number_of_tiles_has_a_grid(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """More tiles than the second dimension of a grid has blocks take the first one."""
    monkeypatch.setattr(stream_choice, "LARGEST_GRID_Y", 4)
    weight = np.asarray([[0, 2], [3, 0], [1, 4]])
    schedule = Schedule(lowering="data", threads=32, rows_per_panel=1)
    kernel = sparsert_ir.compile(weight, columns, target="sm_90", schedule=schedule)
    assert kernel.grid == ((5, 3, 1) if columns == 5 else (3, 4, 1))
    x = np.arange(2 * columns, dtype=np.float32).reshape(2, columns)
    mapped = kernel.compilation.run_until("sparsert-map-data-to-gpu")
    assert np.array_equal(run(mapped, "spmm", [x]), weight @ x)


def test_as_many_columns_as_x_may_have_get_a_kernel() -> None:
    kernel = sparsert_ir.compile(np.eye(3), 2**29, target="sm_90", lowering="data")
    tiles = 2**29 // (kernel.schedule.columns_per_thread * kernel.schedule.column_groups)
    assert kernel.grid[0] == tiles > 65_535


@pytest.mark.parametrize(("dtype", "target"), [("f32", "sm_90"), ("f16", "sm_75")])
def test_lanes_multiply_what_tensor_cores_cannot(dtype: Dtype, target: str) -> None:
    chosen = default_gpu_schedule((4096, 4096), 16, dtype, 10**6, "data", target)
    assert chosen.instruction == "fma"
    schedule = default_gpu_schedule((4096, 4096), 16, "f16", 10**6, "data", "sm_80")
    with pytest.raises(ScheduleError, match=r"instruction = mma (multiplies f16 and bf16|needs)"):
        sparsert_ir.compile(np.eye(64), 16, dtype=dtype, target=target, schedule=schedule)


@given(
    rows=st.integers(1, 3_000_000),
    depth=st.integers(1, 200_000),
    columns=st.integers(1, 5000),
    dtype=st.sampled_from(("f32", "f16", "bf16")),
    density=st.sampled_from((0.0, 0.001, 0.1, 1.0)),
    architecture=st.sampled_from(ARCHITECTURES),
)
def test_defaults_walk_only_where_all_of_x_fits_and_never_take_a_second_round_of_blocks(
    rows: int, depth: int, columns: int, dtype: str, density: float, architecture: str
) -> None:
    nonzeros = int(rows * depth * density)
    chosen = default_gpu_schedule((rows, depth), columns, dtype, nonzeros, "data", architecture)
    assert chosen.threads in range(WARP, BLOCK_THREADS + 1, WARP)
    assert WARP % (chosen.rows_per_panel * chosen.column_groups) == 0
    if chosen.panels_per_warp == 1:
        return
    assert holds_all(chosen, depth, dtype, shared_memory_of(architecture))
    if columns <= chosen.columns_per_thread * chosen.column_groups:
        assert blocks_of_one_tile(chosen, rows) <= limits_of(architecture).multiprocessors


def test_default_for_more_inputs_than_an_index_can_name_is_compiled() -> None:
    matrix = few_nonzeros(5000, MANY_INPUTS)
    kernel = sparsert_ir.compile(matrix, 1, dtype="f16", target="sm_90", lowering="data")
    assert kernel.schedule.panels_per_warp == 1
    schedule = Schedule(lowering="data", panels_per_warp=2, threads=512, accumulation="f32")
    with pytest.raises(ScheduleError, match="expected K of at most 65535, got 70000"):
        sparsert_ir.compile(matrix, 1, dtype="f16", target="sm_90", schedule=schedule)


def test_rows_of_x_that_a_block_holds_leave_room_for_one_of_zeros() -> None:
    assert most_rows_held(row_bytes=16, shared_memory=160) == 9
    assert most_rows_held(row_bytes=16, shared_memory=175) == 9
    assert most_rows_held(row_bytes=32, shared_memory=32) == 0
    assert most_rows_held(row_bytes=2, shared_memory=232_448) == 65_535


@pytest.mark.parametrize("columns", [1, 2, 5, 16])
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_defaults_that_walk_are_exact(columns: int, dtype: Dtype) -> None:
    """Made for GPUs of one and two multiprocessors, so that small matrices have panels enough."""
    for multiprocessors, rows in ((1, 560), (2, 1100)):
        schedule = data_schedule(
            (rows, 24),
            rows * 12,
            columns,
            dtype,
            multiprocessors=multiprocessors,
            shared_memory=STATIC_SHARED_MEMORY,
        )
        assert schedule.panels_per_warp > 1
        case = Case(rows, 24, columns, 0.5, dtype, True, "relu", "after", schedule, seed=columns)
        example = whole_numbers(case)
        *_, (_, module) = stages(example.layer, GPU_DATA)
        expected = example.expected().astype(example.arguments[0].dtype)
        np.testing.assert_array_equal(run(module, "spmm", example.arguments), expected)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_default_that_walks_keeps_long_chunks_in_registers(
    architecture: str, dtype: Dtype, tmp_path: Path
) -> None:
    """Rows of 1229 nonzeros, on as many warps as a multiprocessor has for them."""
    for columns in (1, 4, 8):
        schedule = default_gpu_schedule(
            (57344, 4096), columns, dtype, 28672 * 1229, "data", architecture
        )
        assert schedule.panels_per_warp > 1
        rows = schedule.rows_per_panel * schedule.threads // WARP * schedule.panels_per_warp
        matrix = few_nonzeros(rows, 64)
        kernel = sparsert_ir.compile(
            matrix, columns, dtype=dtype, target=architecture, schedule=schedule
        )
        assert assemble(kernel.ptx, architecture, tmp_path).spill_bytes == 0


@pytest.mark.parametrize("columns", [1, 8, 16, 200])
def test_candidates_walk_only_where_they_can(columns: int) -> None:
    target = "sm_75"
    for shape in ((4096, 64), (4096, 4000), (40, 64)):
        found = data_candidates(shape, columns, "f16", target)
        default = default_gpu_schedule(shape, columns, "f16", 10_000, "data", target)
        found += data_neighbours(default, shape, columns, "f16", target)
        walks = [one for one in found if one.panels_per_warp > 1]
        for one in walks:
            assert holds_all(one, shape[1], "f16", shared_memory_of(target))
            panels = -(-shape[0] // one.rows_per_panel)
            assert (one.panels_per_warp - 1) * one.threads // WARP < panels
        assert walks


def test_tuning_tries_fewer_and_more_panels_in_turn_than_the_default_takes() -> None:
    matrix = SparseMatrix.of(np.ones((50_000, 16), np.float32))
    default = default_gpu_schedule(matrix.shape, 8, "f16", matrix.nonzeros, "data", "sm_90")
    assert default.panels_per_warp > 1
    near = data_neighbours(default, matrix.shape, 8, "f16", "sm_90")
    turns = {one.panels_per_warp for one in near}
    assert {default.panels_per_warp // 2, default.panels_per_warp * 2} <= turns
    tried = best_candidates(matrix, 8, "f16", "sm_90", 40)
    assert {one.panels_per_warp for one in tried} >= {1, 2, 4, 8}


def test_tuning_a_convolution_tries_other_numbers_of_panels_in_turn() -> None:
    window = Window(
        batch=4,
        channels=512,
        image=(14, 14),
        kernel=(1, 1),
        strides=(1, 1),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        layout="nchw",
    )
    tried = best_convolutions(few_nonzeros(512, 512), window, "f16", "sm_90", 80)
    as_data = [one for one in tried if one.lowering == "data"]
    assert len({one.panels_per_warp for one in as_data}) > 1


def test_advice_predicts_the_schedule_that_data_would_have() -> None:
    matrix = few_nonzeros(4096, 4096)
    advice = advise(matrix, 8, "f16", "sm_90")
    assert advice.lowering == "data"
    schedule = default_gpu_schedule(matrix.shape, 8, "f16", matrix.nonzeros, "data", "sm_90")
    product = Product(matrix.shape, matrix.nonzeros, 8, "f16")
    assert advice.sparse_us == predict_us(schedule, product, limits_of("sm_90"))
