"""`sparsert_ir.compile` and `Kernel`, end to end on the CPU: numbers, shapes, what can be read."""

import re
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from compiling import compile_layer, pruned
from hypothesis import given
from hypothesis import strategies as st
from random_layers import CPU_CODE, CPU_DATA, Case, Example, cases, real_numbers, whole_numbers
from scipy import sparse
from xdsl.parser import Parser

import sparsert_ir
from sparsert_ir import Kernel, Schedule
from sparsert_ir.context import make_context
from sparsert_ir.dense import Array
from sparsert_ir.element_types import Dtype, numpy_type
from sparsert_ir.errors import ArgumentError, CallError
from sparsert_ir.schedules.cpu import with_lowering
from sparsert_ir.schedules.default import default_cpu_schedule

LOWERINGS = pytest.mark.parametrize("pipeline", [CPU_DATA, CPU_CODE])


def compile_for_cpu(case: Case, example: Example, pipeline: str) -> Kernel:
    """With the case's schedule, or the default one for the pipeline's lowering."""
    schedule = case.schedule
    if schedule is None and pipeline == CPU_CODE:
        default = default_cpu_schedule((case.rows, case.depth), case.columns, case.dtype)
        schedule = replace(with_lowering(default, "code"), rows_per_panel=4)
    return compile_layer(example.layer, "cpu", schedule)


@LOWERINGS
@given(data=st.data())
def test_a_compiled_layer_is_exact_on_whole_numbers(pipeline: str, data: st.DataObject) -> None:
    case = data.draw(cases(pipeline))
    example = whole_numbers(case)
    y = compile_for_cpu(case, example, pipeline)(*example.arguments)
    np.testing.assert_array_equal(y, example.expected().astype(y.dtype), strict=True)


@LOWERINGS
@given(data=st.data())
def test_a_compiled_layer_is_within_the_error_bound(pipeline: str, data: st.DataObject) -> None:
    case = data.draw(cases(pipeline))
    example = real_numbers(case)
    y = compile_for_cpu(case, example, pipeline)(*example.arguments)
    error = np.abs(y - example.expected())
    assert (error <= example.error_bound()).all()


@LOWERINGS
@given(data=st.data())
def test_a_kernel_gives_the_same_bits_every_time(pipeline: str, data: st.DataObject) -> None:
    case = data.draw(cases(pipeline))
    example = real_numbers(case)
    kernel = compile_for_cpu(case, example, pipeline)
    first = kernel(*example.arguments).tobytes()
    assert all(kernel(*example.arguments).tobytes() == first for _ in range(5))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float16", "f16"),
        (np.float16, "f16"),
        (np.dtype(np.float32), "f32"),
        (np.dtype(">f4"), "f32"),
        (ml_dtypes.bfloat16, "bf16"),
        (np.dtype(ml_dtypes.bfloat16), "bf16"),
    ],
)
def test_element_types_may_be_named_as_numpy_names_them(name: Any, dtype: str) -> None:
    named, expected = (
        sparsert_ir.compile(np.eye(4, 3), 2, dtype=one, target="cpu") for one in (name, dtype)
    )
    assert named.ir("input") == expected.ir("input")


@pytest.mark.parametrize("name", ["float64", np.float64, np.dtype("i4"), "", 3, None, float, "F16"])
def test_other_element_types_are_refused(name: Any) -> None:
    with pytest.raises(ArgumentError, match=r"dtype: expected one of f32, f16, bf16, got "):
        sparsert_ir.compile(np.eye(4, 3), 2, dtype=name, target="cpu")


@pytest.mark.parametrize("lowering", ["data", "code"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 7)])
@pytest.mark.parametrize("n", [1, 2, 13])
def test_smallest_shapes(lowering: Any, shape: tuple[int, int], n: int) -> None:
    random = np.random.default_rng(0)
    weight = random.integers(1, 4, shape).astype(np.float32)
    x = random.integers(-3, 4, (shape[1], n)).astype(np.float32)
    kernel = sparsert_ir.compile(weight, n, target="cpu", schedule=Schedule(lowering=lowering))
    np.testing.assert_array_equal(kernel(x), weight @ x)


@pytest.mark.parametrize("lowering", ["data", "code"])
def test_a_matrix_without_nonzeros_gives_the_epilogue(lowering: Any) -> None:
    kernel = sparsert_ir.compile(
        np.zeros((3, 4)),
        5,
        bias=[1.0, -2.0, 3.0],
        activation="relu",
        residual="after",
        target="cpu",
        schedule=Schedule(lowering=lowering),
    )
    y = kernel(np.ones((4, 5), np.float32), np.full((3, 5), 10, np.float32))
    np.testing.assert_array_equal(y, np.repeat([[11.0], [10.0], [13.0]], 5, axis=1))


@pytest.mark.parametrize("lowering", ["data", "code"])
def test_empty_rows_and_columns(lowering: Any) -> None:
    weight = np.zeros((6, 5), np.float32)
    weight[1, 3], weight[4, 0] = 2, 3
    x = np.arange(35, dtype=np.float32).reshape(5, 7)
    kernel = sparsert_ir.compile(weight, 7, target="cpu", schedule=Schedule(lowering=lowering))
    np.testing.assert_array_equal(kernel(x), weight @ x)


@pytest.mark.parametrize("lowering", ["data", "code"])
def test_what_meets_only_zeros_does_not_reach_the_result(lowering: Any) -> None:
    x = np.array([[1.0, 2.0], [np.nan, np.inf]], np.float32)
    kernel = sparsert_ir.compile(
        [[3.0, 0.0], [0.0, 1.0]],
        2,
        activation="relu",
        target="cpu",
        schedule=Schedule(lowering=lowering),
    )
    np.testing.assert_array_equal(kernel(x), [[3.0, 6.0], [np.nan, np.inf]])


FORMATS = ("coo", "csr", "csc", "bsr", "dia", "dok", "lil")


@pytest.mark.parametrize("form", FORMATS)
def test_every_sparse_format_gives_the_same_code(form: str) -> None:
    dense = np.array([[0, 1.5, 0, 2], [0, 0, 0, 0], [3, 0, 0, -4]], np.float32)
    expected = sparsert_ir.compile(dense, 8, target="sm_80").ptx
    matrix: Any = sparse.coo_array(dense)
    assert sparsert_ir.compile(matrix.asformat(form), 8, target="sm_80").ptx == expected


def test_duplicate_entries_are_added_and_indices_may_be_unsorted() -> None:
    entries = ([2.0, 1.0, 5.0], ([0, 0, 0], [3, 3, 1]))
    kernel = sparsert_ir.compile(sparse.coo_array(entries, shape=(1, 4)), 1, target="cpu")
    x = np.array([[1.0], [10.0], [100.0], [1000.0]], np.float32)
    assert kernel(x).tolist() == [[3050.0]]


def small(**options: Any) -> Kernel:
    """A 3 x 4 layer with N = 8."""
    weight = [[1.5, 0, 2, 0], [0, 3, 0, 0], [0, 0, 0, 4]]
    return sparsert_ir.compile(weight, 8, **options)


TARGETS = {
    "gpu": {"target": "sm_90"},
    "gpu, K groups": {"target": "sm_90", "schedule": Schedule(k_groups=2)},
    "cpu, data": {"target": "cpu"},
    "cpu, code": {"target": "cpu", "schedule": Schedule()},
}


@pytest.mark.parametrize("target", TARGETS)
def test_the_ir_of_every_stage_is_read_back(target: str) -> None:
    kernel = small(bias=[1, 2, 3], activation="relu", residual=True, **TARGETS[target])
    texts: list[str] = []
    for stage in kernel.stages:
        texts.append(kernel.ir(stage))
        module = Parser(make_context(), texts[-1]).parse_module()
        module.verify()
    assert "sparsert.spmm" in texts[0]
    assert "llvm.func" in texts[-1]
    assert "gpu.launch_func" in texts[-1] or target.startswith("cpu")


def test_an_unknown_stage_is_refused_with_the_list() -> None:
    with pytest.raises(ArgumentError, match=r"expected one of input, .*convert-to-llvm, got 'x'"):
        small(target="cpu").ir("x")


def test_stats_of_a_gpu_kernel() -> None:
    kernel = small(target="sm_90", schedule=Schedule(threads=32, rows_per_panel=2))
    stats = kernel.stats
    assert (stats.nonzeros, stats.multiply_adds, stats.loads) == (4, 32, 4)
    assert (stats.registers, stats.code_bytes) == (None, None)
    assert [record.name for record in stats.stages] == [*kernel.stages[1:], "llvm-text", "ptx"]
    assert all(record.seconds > 0 and record.ops > 0 for record in stats.stages)
    assert stats.seconds == sum(record.seconds for record in stats.stages)


REASONS: dict[str, dict[str, Any]] = {
    "code: about 234 bytes of instructions": {"n": 64},
    "data: for N of up to 8, numbers are read faster than instructions": {"n": 8},
    "data: code would take 234 bytes, more than 10 bytes": {"n": 64, "code_budget": 10},
    "data: as asked for": {"n": 64, "lowering": "data"},
    "code: as asked for": {"n": 8, "schedule": Schedule()},
    "data: the default for a CPU": {"n": 8, "target": "cpu"},
}


@pytest.mark.parametrize("text", REASONS)
def test_stats_say_why_the_matrix_is_code_or_data(text: str) -> None:
    options: dict[str, Any] = {"target": "sm_90", **REASONS[text]}
    stats = sparsert_ir.compile(np.eye(8), **options).stats
    assert stats.lowering == text
    assert bool(stats.packed_bytes) == (text.startswith("data") and options["target"] != "cpu")


def test_code_that_runs_once_and_is_large_becomes_data() -> None:
    weight = pruned(512, 1024, 0.15)
    stats = sparsert_ir.compile(weight, 16, target="sm_90").stats
    assert re.match("data: .* MB of code that runs once are fetched slower", stats.lowering)


def test_few_nonzeros_in_a_deep_matrix_become_code() -> None:
    """As data, every block would copy a million rows of x, slice after slice."""
    deep = sparse.coo_array(([1.0, 2.0], ([0, 1], [5, 10**6 - 1])), shape=(2, 10**6))
    stats = sparsert_ir.compile(deep, 4, target="sm_90").stats
    assert stats.lowering == "code: every block of data would copy all of a very deep x"


@pytest.mark.parametrize(("dtype", "ulp"), [("f16", 2.0**-10), ("bf16", 2.0**-7)])
def test_a_bias_is_rounded_once(dtype: Dtype, ulp: float) -> None:
    """Halfway and a little more; the little is gone where the number was an f32 in between."""
    bias = 1 + ulp / 2 + 2.0**-40
    kernel = sparsert_ir.compile(np.ones((1, 1)), 1, bias=[bias], dtype=dtype, target="cpu")
    y = kernel(np.zeros((1, 1), numpy_type(dtype)))
    assert float(y[0, 0]) == 1 + ulp


def test_stats_of_a_cpu_kernel() -> None:
    stats = small(target="cpu").stats
    assert stats.code_bytes is not None
    assert stats.code_bytes > 0
    assert stats.stages[-1].name == "machine-code"


def test_code_bytes_of_a_cpu_kernel_are_instructions() -> None:
    """Data next to them do not count: a matrix that is data has code of one size."""

    def code_bytes(density: float, lowering: Any) -> int:
        weight = pruned(64, 256, density)
        schedule = Schedule(lowering=lowering, rows_per_panel=1, threads=1, columns_per_thread=16)
        size = sparsert_ir.compile(weight, 16, target="cpu", schedule=schedule).stats.code_bytes
        assert size is not None
        return size

    assert code_bytes(0.3, "data") == code_bytes(0.2, "data")
    assert code_bytes(0.2, "code") > 4 * 0.2 * 64 * 256 > code_bytes(0.2, "data")


def test_grid_and_block_cover_rows_and_columns() -> None:
    weight = np.eye(100, dtype=np.float32)
    schedule = Schedule(
        rows_per_panel=16, threads=32, columns_per_thread=2, k_groups=2, panels_per_block=3
    )
    kernel = sparsert_ir.compile(weight, 130, target="sm_90", schedule=schedule)
    assert kernel.grid == (-(-130 // (32 * 2)), -(-7 // 3), 1)
    assert kernel.block == (32, 2, 3)
    assert kernel.schedule == schedule
    by_panel = replace(schedule, block_order="panels")
    kernel = sparsert_ir.compile(weight, 130, target="sm_90", schedule=by_panel)
    assert kernel.grid == (-(-7 // 3), -(-130 // (32 * 2)), 1)


def test_a_grid_is_a_cluster_deep() -> None:
    schedule = Schedule(rows_per_panel=16, threads=32, k_groups=2, cluster=4)
    kernel = sparsert_ir.compile(pruned(100, 64, 0.3), 50, target="sm_90", schedule=schedule)
    assert kernel.grid == (2, 7, 4)
    assert kernel.block == (32, 2, 1)
    assert ".reqnctapercluster 1, 1, 4" in kernel.ptx
    alone = sparsert_ir.compile(np.eye(4), 8, target="sm_90", schedule=replace(schedule, cluster=1))
    assert "cluster" not in alone.ptx


def test_a_cpu_kernel_has_assembly_and_a_gpu_kernel_has_ptx() -> None:
    on_cpu, on_gpu = small(target="cpu"), small(target="sm_75")
    assert "spmm" in on_cpu.assembly
    assert ".target sm_75" in on_gpu.ptx
    with pytest.raises(ArgumentError, match="expected a GPU target for PTX, got cpu"):
        _ = on_cpu.ptx
    with pytest.raises(ArgumentError, match="expected target cpu, got sm_75"):
        _ = on_gpu.assembly


def x_of(kernel: Kernel) -> Array:
    depth = kernel.compilation.layer.matrix.shape[1]
    return np.ones((depth, kernel.n), np.float32)


def test_out_is_written_and_returned() -> None:
    kernel = small(target="cpu")
    y = np.full((3, 8), np.nan, np.float32)
    assert kernel(x_of(kernel), out=y) is y
    np.testing.assert_array_equal(y, np.repeat([[3.5], [3.0], [4.0]], 8, axis=1))


READ_ONLY = np.ones((3, 8), np.float32)
READ_ONLY.setflags(write=False)
SHARED = np.ones((4, 8), np.float32)

WRONG_CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    r"x: expected shape \(4, 8\), got \(4, 7\)": ((np.ones((4, 7), np.float32),), {}),
    r"x: expected shape \(4, 8\), got \(4,\)": ((np.ones(4, np.float32),), {}),
    "x: expected element type float32, got float64": ((np.ones((4, 8)),), {}),
    "x: expected element type float32, got object": ((object(),), {}),
    "x: expected row-major elements": ((np.ones((8, 4), np.float32).T,), {}),
    "residual: expected None, got an array": ((SHARED, np.ones((3, 8), np.float32)), {}),
    "out: expected a numpy array, got list": ((SHARED,), {"out": [0]}),
    r"out: expected shape \(3, 8\), got \(4, 8\)": ((np.ones_like(SHARED),), {"out": SHARED}),
    "out: expected an array that may be written": ((SHARED,), {"out": READ_ONLY}),
    "out: expected memory of its own": ((SHARED,), {"out": SHARED[:3]}),
}


@pytest.mark.parametrize("message", WRONG_CALLS)
def test_a_wrong_call_is_refused(message: str) -> None:
    arguments, options = WRONG_CALLS[message]
    with pytest.raises(CallError, match=f"kernel @spmm: {message}"):
        small(target="cpu")(*arguments, **options)


def test_a_call_without_the_residual_is_refused() -> None:
    kernel = small(target="cpu", residual=True)
    with pytest.raises(CallError, match="residual: expected an array, which the kernel adds"):
        kernel(x_of(kernel))


def test_a_stream_is_refused_on_a_cpu() -> None:
    kernel = small(target="cpu")
    with pytest.raises(ArgumentError, match="stream: expected None on a CPU"):
        kernel(x_of(kernel), stream=0)
