"""Compiled kernels on a GPU: exact on whole numbers, within the bound on others, every knob."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from compiling import compile_layer, pruned
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_layers import GPU, Case, Example, cases, real_numbers, whole_numbers
from torch_arrays import to_torch

import sparsert_ir
from sparsert_ir import Schedule
from sparsert_ir.dense import Array
from sparsert_ir.element_types import DTYPES, Dtype, numpy_type
from sparsert_ir.errors import CallError
from sparsert_ir.gpu_facts import BULK_COPY_FROM, CLUSTERS_FROM, architecture_number
from sparsert_ir.matrix_files.load import load_layer
from sparsert_ir.runtime.device import Gpu, require_gpu
from sparsert_ir.runtime.device_array import DeviceArray
from sparsert_ir.torch_matrices import host_array

DATA_VARIABLE = "SPARSERT_DATA"
"""Environment variable: a directory of .npz files with weight, bias and n."""


@dataclass(frozen=True)
class Library:
    """How arrays get to the GPU and back."""

    name: str
    to_gpu: Callable[[Array], Any]
    from_gpu: Callable[[Any], Array]


def _torch() -> Library:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    return Library(
        "torch",
        lambda array: to_torch(torch, array).cuda(),
        lambda array: host_array(array.cpu()),
    )


def _cupy() -> Library:
    cupy = pytest.importorskip("cupy")
    return Library("cupy", cupy.asarray, cupy.asnumpy)


LIBRARIES: dict[str, Callable[[], Library]] = {
    "torch": _torch,
    "cupy": _cupy,
    "numpy": lambda: Library("numpy", DeviceArray.copy_of, DeviceArray.numpy),
}


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest, gpu: Gpu) -> Library:
    """Each library that is installed."""
    return LIBRARIES[request.param]()


NUMPY = LIBRARIES["numpy"]()
FOR_ALL_EXAMPLES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def run(example: Example, library: Library = NUMPY, schedule: Schedule | None = None) -> Array:
    """The result for the example's arguments; y is poisoned before."""
    kernel = compile_layer(example.layer, None, schedule)
    assert kernel.target != "cpu"
    shape = (example.layer.matrix.shape[0], example.layer.columns)
    out = library.to_gpu(np.full(shape, np.nan, example.arguments[0].dtype))
    x, *residual = map(library.to_gpu, example.arguments)
    assert kernel(x, *residual, out=out) is out
    return library.from_gpu(out)


def check_exact(example: Example, library: Library = NUMPY) -> None:
    expected = example.expected().astype(example.arguments[0].dtype)
    np.testing.assert_array_equal(run(example, library), expected, strict=True)


@pytest.mark.usefixtures("gpu")
@FOR_ALL_EXAMPLES
@given(data=st.data())
def test_any_schedule_is_exact_on_whole_numbers(data: st.DataObject) -> None:
    check_exact(whole_numbers(data.draw(cases(GPU))))


@pytest.mark.usefixtures("gpu")
@FOR_ALL_EXAMPLES
@given(data=st.data())
def test_any_schedule_is_within_the_error_bound(data: st.DataObject) -> None:
    example = real_numbers(data.draw(cases(GPU)))
    error = np.abs(run(example) - example.expected())
    assert (error <= example.error_bound()).all()


def layer_case(
    dtype: Dtype,
    schedule: Schedule | None,
    columns: int = 196,
    residual: Literal["none", "before", "after"] = "none",
    density: float = 0.1,
) -> Case:
    """A layer of 96 x 80 with bias and ReLU."""
    return Case(96, 80, columns, density, dtype, True, "relu", residual, schedule, seed=3)


KNOBS: dict[str, dict[str, Any]] = {
    "default knobs": {},
    "one row": {"rows_per_panel": 1},
    "many rows": {"rows_per_panel": 64},
    "clustered rows": {"permutation": "clustered"},
    "two columns": {"columns_per_thread": 2},
    "four columns": {"columns_per_thread": 4},
    "K groups": {"k_groups": 4},
    "many K groups": {"k_groups": 16, "rows_per_panel": 8},
    "cluster": {"cluster": 2},
    "cluster of 8": {"cluster": 8, "rows_per_panel": 32},
    "cluster with K groups": {"cluster": 4, "k_groups": 4, "threads": 32},
    "cluster of more blocks than rows": {"cluster": 8, "k_groups": 2, "rows_per_panel": 3},
    "cluster with sums beyond 48 KB": {"cluster": 2, "rows_per_panel": 64, "threads": 512},
    "cluster, all": {
        "cluster": 2,
        "k_groups": 3,
        "rows_per_panel": 5,
        "columns_per_thread": 2,
        "threads": 32,
        "panels_per_block": 2,
        "block_order": "panels",
        "stores": "streaming",
        "launch": "overlapped",
    },
    "few threads": {"threads": 7},
    "many threads": {"threads": 256},
    "loop over columns": {"threads": 32, "column_tiles": 3},
    "panels side by side": {"panels_per_block": 4},
    "panels first": {"block_order": "panels"},
    "streamed": {"stores": "streaming"},
    "streamed pairs": {"stores": "streaming", "columns_per_thread": 2},
    "streamed fours": {"stores": "streaming", "columns_per_thread": 4, "k_groups": 2},
    "staged": {"staging": "async", "panels_per_block": 2, "rows_per_stage": 8},
    "staged fours": {"staging": "async", "columns_per_thread": 4, "stages": 2, "column_tiles": 2},
    "staged, deep": {
        "staging": "async",
        "threads": 128,
        "panels_per_block": 3,
        "stages": 5,
        "rows_per_stage": 32,
        "permutation": "clustered",
    },
    "folded": {"accumulation": "folded", "columns_per_thread": 2},
    "folded by 3": {"accumulation": "folded", "fold_length": 3},
    "sums in f32": {"accumulation": "f32", "columns_per_thread": 2},
    "all": {
        "rows_per_panel": 5,
        "k_groups": 3,
        "columns_per_thread": 2,
        "threads": 32,
        "column_tiles": 2,
        "panels_per_block": 2,
        "block_order": "panels",
        "stores": "streaming",
        "accumulation": "folded",
    },
}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("residual", ["none", "before", "after"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("knobs", KNOBS)
def test_every_knob_is_exact(knobs: str, dtype: Any, residual: Any) -> None:
    schedule = Schedule(**KNOBS[knobs])
    if schedule.cluster > 1:
        require_clusters()
        if dtype == "f16":
            schedule = replace(schedule, columns_per_thread=2)
    if dtype == "bf16":
        schedule = replace(schedule, accumulation="f32")
    check_exact(whole_numbers(layer_case(dtype, schedule, residual=residual)))


def require_clusters() -> None:
    """Skip the test on a GPU without clusters, or without launches that overlap."""
    if architecture_number(require_gpu().arch) < CLUSTERS_FROM:
        pytest.skip(f"clusters need sm_{CLUSTERS_FROM}")


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("cluster", [2, 8])
def test_a_chain_of_overlapping_clusters_is_exact(cluster: int) -> None:
    """Each kernel reads what the one before it writes, and its blocks meet before that one ends."""
    require_clusters()
    weight = np.roll(np.eye(512), 7, axis=1) - np.roll(np.eye(512), 300, axis=1)
    schedule = Schedule(
        rows_per_panel=8, k_groups=4, cluster=cluster, threads=64, launch="overlapped"
    )
    kernel = sparsert_ir.compile(weight, 49, schedule=schedule).load()
    x = np.random.default_rng(0).integers(-1, 2, (512, 49)).astype(np.float32)
    ring = [DeviceArray.copy_of(x), DeviceArray.copy_of(np.full_like(x, np.nan))]
    expected = x.astype(np.float64)
    for step in range(12):
        kernel(ring[step % 2], out=ring[(step + 1) % 2])
        expected = weight @ expected
    np.testing.assert_array_equal(ring[0].numpy(), expected)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [208, 1000])
@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"panels_per_block": 4, "rows_per_stage": 40},
        {"threads": 32, "columns_per_thread": 4, "stages": 2, "rows_per_stage": 5},
        {"threads": 128, "launch": "overlapped", "permutation": "clustered", "stages": 5},
    ],
)
def test_x_staged_by_whole_rows_is_exact(dtype: Any, columns: int, knobs: dict[str, Any]) -> None:
    if architecture_number(require_gpu().arch) < BULK_COPY_FROM:
        pytest.skip(f"bulk copies need sm_{BULK_COPY_FROM}")
    accumulation = "f32" if dtype == "bf16" else "plain"
    schedule = Schedule(staging="bulk", accumulation=accumulation, **knobs)
    check_exact(whole_numbers(layer_case(dtype, schedule, columns)))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("columns", [1, 2, 3, 49, 63, 65, 127])
@pytest.mark.parametrize("stores", ["cached", "streaming"])
@pytest.mark.parametrize(("dtype", "width"), [("f32", 1), ("f16", 1), ("f16", 2), ("bf16", 2)])
def test_odd_numbers_of_columns(columns: int, stores: Any, dtype: Any, width: int) -> None:
    accumulation = "f32" if dtype == "bf16" else "plain"
    schedule = Schedule(columns_per_thread=width, stores=stores, accumulation=accumulation)
    check_exact(whole_numbers(layer_case(dtype, schedule, columns, "after")))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 50, 196, 3136, 12544])
def test_the_chosen_schedule(columns: int, dtype: Any) -> None:
    check_exact(whole_numbers(layer_case(dtype, None, columns, "before")))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("residual", ["none", "before", "after"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 2, 7, 8, 196, 3136])
def test_a_matrix_as_data(columns: int, dtype: Any, residual: Any) -> None:
    example = whole_numbers(layer_case(dtype, None, columns, residual))
    kernel = compile_layer(example.layer, None, lowering="data")
    assert kernel.schedule.lowering == "data"
    y = kernel(*map(DeviceArray.copy_of, example.arguments)).numpy()
    np.testing.assert_array_equal(y, example.expected().astype(y.dtype), strict=True)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_matrix_without_nonzeros(dtype: Any) -> None:
    check_exact(whole_numbers(layer_case(dtype, None, residual="after", density=0.0)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_library(library: Library, dtype: Any) -> None:
    check_exact(whole_numbers(layer_case(dtype, None, residual="before")), library)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_result_is_allocated(library: Library, dtype: Any) -> None:
    example = whole_numbers(layer_case(dtype, None))
    kernel = compile_layer(example.layer, None)
    y = kernel(library.to_gpu(example.arguments[0]))
    back = library.from_gpu(y)
    np.testing.assert_array_equal(back, example.expected().astype(back.dtype))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("k_groups", "cluster"), [(1, 1), (4, 1), (1, 4), (4, 8)])
def test_fifty_launches_give_the_same_bits(dtype: Any, k_groups: int, cluster: int) -> None:
    if cluster > 1:
        require_clusters()
    schedule = Schedule(
        k_groups=k_groups,
        cluster=cluster,
        columns_per_thread=2,
        accumulation="f32" if dtype == "bf16" else "plain",
    )
    example = real_numbers(layer_case(dtype, schedule))
    kernel = compile_layer(example.layer, None)
    x = DeviceArray.copy_of(example.arguments[0])
    first = kernel(x).numpy().tobytes()
    assert all(kernel(x).numpy().tobytes() == first for _ in range(50))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_meets_only_zeros_does_not_reach_the_result(dtype: Any) -> None:
    weight = np.zeros((8, 6))
    weight[:4, 0], weight[4:, 1] = 2, 3
    x = np.ones((6, 40), numpy_type(dtype))
    x[1], x[2:] = np.nan, np.inf
    kernel = sparsert_ir.compile(weight, 40, activation="relu", dtype=dtype)
    y = kernel(DeviceArray.copy_of(x)).numpy()
    assert (y[:4] == 2).all()
    assert np.isnan(y[4:]).all()


@pytest.mark.usefixtures("gpu")
def test_stats_after_loading() -> None:
    kernel = sparsert_ir.compile(pruned(64, 64, 0.2), 64, schedule=Schedule()).load()
    stats = kernel.stats
    assert stats.registers is not None
    assert 0 < stats.registers <= 255
    assert stats.code_bytes is not None
    assert stats.code_bytes > 0


@pytest.mark.usefixtures("gpu")
def test_memory_of_the_host_is_refused() -> None:
    kernel = sparsert_ir.compile(np.eye(8), 32)
    with pytest.raises(CallError, match="x: expected"):
        kernel(np.ones((8, 32), np.float32))


def data_files() -> list[Path]:
    directory = os.environ.get(DATA_VARIABLE)
    return sorted(Path(directory).glob("**/*.npz")) if directory else []


def layer_from(path: Path, dtype: Dtype, whole: bool) -> Example:
    """The file's pattern with whole numbers, or the file's own values."""
    stored = load_layer(path)
    rows, depth = stored.weight.shape
    columns = stored.n or 196
    case = Case(rows, depth, columns, 0.0, dtype, True, "relu", "none", None, seed=1)
    example = whole_numbers(case) if whole else real_numbers(case)
    weight: Any = stored.weight.to_dense()
    if whole:
        weight = np.sign(weight)
    return example.with_weight(weight)


@pytest.mark.usefixtures("gpu")
@pytest.mark.skipif(not data_files(), reason=f"{DATA_VARIABLE} names no directory with .npz files")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("path", data_files(), ids=lambda path: path.stem)
def test_files_are_exact_on_whole_numbers(path: Path, dtype: Any) -> None:
    check_exact(layer_from(path, dtype, whole=True))


@pytest.mark.usefixtures("gpu")
@pytest.mark.skipif(not data_files(), reason=f"{DATA_VARIABLE} names no directory with .npz files")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("path", data_files(), ids=lambda path: path.stem)
def test_files_are_within_the_error_bound(path: Path, dtype: Any) -> None:
    example = layer_from(path, dtype, whole=False)
    error = np.abs(run(example) - example.expected())
    assert (error <= example.error_bound()).all()
