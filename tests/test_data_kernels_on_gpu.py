"""Matrices as data on a GPU: every knob, against float64 and against the matrix as code."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from compiling import compile_layer, pruned
from hypothesis import given
from hypothesis import strategies as st
from random_layers import GPU_DATA, Case, Example, cases, real_numbers, whole_numbers

import sparsert_ir
from sparsert_ir import Kernel, Schedule
from sparsert_ir.dense import Array
from sparsert_ir.element_types import DTYPES, Dtype, numpy_type
from sparsert_ir.runtime.device import find_gpu
from sparsert_ir.runtime.device_array import DeviceArray

pytestmark = pytest.mark.usefixtures("gpu")


def architecture() -> str:
    """Of the GPU present."""
    gpu = find_gpu()
    return "sm_70" if gpu is None else gpu.arch


def call(kernel: Kernel, arguments: list[Array]) -> Array:
    """The result; y is poisoned before."""
    rows = kernel.compilation.layer.matrix.shape[0]
    out = DeviceArray.copy_of(np.full((rows, kernel.n), np.nan, arguments[0].dtype))
    kernel(*map(DeviceArray.copy_of, arguments), out=out)
    return out.numpy()


def check_exact(example: Example, **options: Any) -> None:
    kernel = compile_layer(example.layer, None, **options)
    assert kernel.schedule.lowering == "data"
    y = call(kernel, example.arguments)
    np.testing.assert_array_equal(y, example.expected().astype(y.dtype), strict=True)


@given(data=st.data())
def test_any_schedule_is_exact_on_whole_numbers(data: st.DataObject) -> None:
    check_exact(
        whole_numbers(data.draw(cases(GPU_DATA, architecture=architecture()))), lowering="data"
    )


@given(data=st.data())
def test_any_schedule_is_within_the_error_bound(data: st.DataObject) -> None:
    example = real_numbers(data.draw(cases(GPU_DATA, architecture=architecture())))
    kernel = compile_layer(example.layer, None, lowering="data")
    error = np.abs(call(kernel, example.arguments) - example.expected())
    assert (error <= example.error_bound()).all()


def layer_case(
    dtype: Dtype,
    schedule: Schedule | None,
    columns: int,
    rows: int = 300,
    depth: int = 500,
) -> Case:
    """A layer with bias, ReLU and a residual before it."""
    return Case(rows, depth, columns, 0.1, dtype, True, "relu", "before", schedule, seed=3)


KNOBS: dict[str, dict[str, Any]] = {
    "one row": {"rows_per_panel": 1},
    "32 rows": {"rows_per_panel": 32},
    "one nonzero at a time": {"chunk": 1, "stages": 1},
    "many nonzeros at a time": {"chunk": 8, "stages": 8},
    "one warp": {"threads": 32},
    "many warps": {"threads": 1024},
    "two groups of eight": {"columns_per_thread": 8, "column_groups": 2},
    "four groups of eight": {"columns_per_thread": 8, "column_groups": 4},
    "eight groups of two": {"columns_per_thread": 2, "column_groups": 8},
    "32 groups": {"rows_per_panel": 1, "column_groups": 32},
    "panels one after another": {"threads": 64, "panels_per_warp": 2},
    "many panels in turn": {"rows_per_panel": 1, "threads": 32, "panels_per_warp": 9},
    "streamed": {"stores": "streaming", "columns_per_thread": 4},
}
TENSOR_CORES: dict[str, dict[str, Any]] = {
    "one row": {"rows_per_panel": 1},
    "eight rows": {"rows_per_panel": 8},
    "two tiles": {"column_groups": 2},
    "four tiles, long chunks": {"column_groups": 4, "chunk": 8},
    "one stage": {"stages": 1},
    "many warps": {"threads": 1024},
    "panels one after another": {"threads": 64, "panels_per_warp": 2},
    "many panels in turn": {"threads": 32, "panels_per_warp": 9, "rows_per_panel": 4},
    "streamed": {"stores": "streaming"},
}


@pytest.mark.parametrize("columns", [1, 4, 16, 23])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("knobs", KNOBS)
def test_every_knob_is_exact(knobs: str, dtype: Any, columns: int) -> None:
    base: dict[str, Any] = {"rows_per_panel": 2, "threads": 128, "accumulation": "f32"}
    chosen = base | KNOBS[knobs]
    check_exact(whole_numbers(layer_case(dtype, Schedule(lowering="data", **chosen), columns)))


@pytest.mark.parametrize("columns", [1, 4, 8, 16, 23, 70])
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("knobs", TENSOR_CORES)
def test_tensor_cores_are_exact(knobs: str, dtype: Any, columns: int) -> None:
    base: dict[str, Any] = {"rows_per_panel": 2, "threads": 128, "columns_per_thread": 8}
    base |= {"accumulation": "f32", "instruction": "mma"}
    chosen = base | TENSOR_CORES[knobs]
    check_exact(whole_numbers(layer_case(dtype, Schedule(lowering="data", **chosen), columns)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 3, 8, 16, 33, 64])
def test_x_in_several_slices_is_exact(columns: int, dtype: Any) -> None:
    """30,000 rows of 16 columns do not fit in the shared memory of any block."""
    case = layer_case(dtype, None, columns, rows=40, depth=30_000)
    check_exact(whole_numbers(case), lowering="data")


@pytest.mark.parametrize("columns", [1, 5, 8, 64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_x_in_many_slices_is_exact(dtype: Any, columns: int) -> None:
    """A loop goes over them."""
    case = layer_case(dtype, None, columns, rows=40, depth=700_000)
    check_exact(whole_numbers(replace(case, density=0.001)), lowering="data")


def test_more_tiles_than_the_second_dimension_of_a_grid_has() -> None:
    schedule = Schedule(lowering="data", rows_per_panel=1, threads=64)
    check_exact(whole_numbers(layer_case("f32", schedule, 70_000, rows=20, depth=10)))


def test_more_columns_than_an_index_can_count() -> None:
    case = layer_case("f16", None, 1, rows=40, depth=150_000)
    check_exact(whole_numbers(case), lowering="data")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 16])
def test_both_lowerings_agree_on_whole_numbers(columns: int, dtype: Any) -> None:
    example = whole_numbers(layer_case(dtype, None, columns))
    as_data, as_code = (
        call(compile_layer(example.layer, None, lowering=lowering), example.arguments)
        for lowering in ("data", "code")
    )
    np.testing.assert_array_equal(as_data, as_code, strict=True)


@pytest.mark.parametrize("columns", [3, 8, 16])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_meets_only_zeros_does_not_reach_the_result(dtype: Any, columns: int) -> None:
    weight = np.zeros((8, 6))
    weight[:4, 0], weight[4:, 1] = 2, 3
    x = np.ones((6, columns), numpy_type(dtype))
    x[1], x[2:] = np.nan, np.inf
    kernel = sparsert_ir.compile(weight, columns, activation="relu", dtype=dtype, lowering="data")
    y = kernel(DeviceArray.copy_of(x)).numpy()
    assert (y[:4] == 2).all()
    assert np.isnan(y[4:]).all()


@pytest.mark.parametrize("columns", [1, 8])
def test_a_chain_of_overlapping_kernels_is_exact(columns: int) -> None:
    """Each kernel reads what the one before it writes, and starts before that one ends."""
    weight = np.roll(np.eye(512), 7, axis=1) - np.roll(np.eye(512), 300, axis=1)
    kernel = sparsert_ir.compile(weight, columns, lowering="data").load()
    x = np.random.default_rng(0).integers(-1, 2, (512, columns)).astype(np.float32)
    ring = [DeviceArray.copy_of(x), DeviceArray.copy_of(np.full_like(x, np.nan))]
    expected = x.astype(np.float64)
    for step in range(12):
        kernel(ring[step % 2], out=ring[(step + 1) % 2])
        expected = weight @ expected
    np.testing.assert_array_equal(ring[0].numpy(), expected)


def test_two_hundred_launches_give_the_same_bits() -> None:
    example = real_numbers(layer_case("f16", None, 16))
    kernel = compile_layer(example.layer, None, lowering="data")
    x, residual = map(DeviceArray.copy_of, example.arguments)
    first = kernel(x, residual).numpy().tobytes()
    assert all(kernel(x, residual).numpy().tobytes() == first for _ in range(200))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 16])
def test_updated_values_are_used(columns: int, dtype: Any) -> None:
    weight = pruned(300, 500, 0.1)
    kernel = sparsert_ir.compile(weight, columns, dtype=dtype, lowering="data")
    x = np.random.default_rng(0).integers(-1, 2, (500, columns))
    x = x.astype(numpy_type(dtype))
    for factor in (1, -1, 3):
        if factor != 1:
            kernel.update_values(factor * weight)
        np.testing.assert_array_equal(call(kernel, [x]), factor * weight @ x)
