"""Kernels of the CPU target against exact and float64 products: shapes, tiles, types, threads."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparsert_ir
from sparsert_ir.cost_model.cpu import CpuFacts, host_limits
from sparsert_ir.cpu import host_kernel
from sparsert_ir.cpu.host_threads import WorkerTeam
from sparsert_ir.cpu.row_packing import GROUP, LONG_ROW
from sparsert_ir.cpu.simd import AVX2, NEON, SSE, Simd, host_simd
from sparsert_ir.dense import Array
from sparsert_ir.element_types import DTYPES, ROUNDOFF, numpy_type
from sparsert_ir.emit import host
from sparsert_ir.errors import ArgumentError, CodegenError, ScheduleError
from sparsert_ir.kernel import Kernel
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.cpu import cpu_candidates
from sparsert_ir.schedules.default import default_cpu_schedule

STAGINGS = pytest.mark.parametrize("staging", ["none", "copy"])


def whole_matrix(rows: int, depth: int, density: float, seed: int = 0) -> Array:
    """Small whole numbers: every partial sum is exact."""
    random = np.random.default_rng(seed)
    kept = random.random((rows, depth)) < density
    return (random.integers(-3, 4, (rows, depth)) * kept).astype(np.float32)


def compiled(weight: Array, n: int, dtype: str = "f32", **knobs: Any) -> Kernel:
    compile_knobs = {
        key: knobs.pop(key) for key in ("threads", "bias", "activation", "residual") if key in knobs
    }
    schedule = default_cpu_schedule((weight.shape[0], weight.shape[1]), n, dtype)
    schedule = replace(schedule, **knobs)
    return sparsert_ir.compile(
        weight,
        n,
        dtype=cast(Any, dtype),
        target="cpu",
        schedule=schedule,
        **compile_knobs,  # pyright: ignore
    )


def check_exact(kernel: Kernel, weight: Array, n: int, dtype: str = "f32") -> None:
    random = np.random.default_rng(1)
    x = random.integers(-3, 4, (weight.shape[1], n)).astype(numpy_type(dtype))
    y = np.full((weight.shape[0], n), np.nan, numpy_type(dtype))
    kernel(x, out=y)
    np.testing.assert_array_equal(y, (weight @ x.astype(np.float32)).astype(numpy_type(dtype)))


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 9),
    depth=st.integers(1, 60),
    n=st.integers(1, 70),
    width=st.integers(1, 80),
    staging=st.sampled_from(("none", "copy")),
    dtype=st.sampled_from(DTYPES),
    rows_per_panel=st.integers(1, 4),
    density=st.sampled_from((0.0, 0.1, 0.5, 1.0)),
    threads=st.integers(1, 3),
)
def test_every_shape_tile_and_type_is_exact(
    rows: int,
    depth: int,
    n: int,
    width: int,
    staging: str,
    dtype: str,
    rows_per_panel: int,
    density: float,
    threads: int,
) -> None:
    weight = whole_matrix(rows, depth, density)
    kernel = compiled(
        weight,
        n,
        dtype,
        columns_per_thread=width,
        staging=staging,
        rows_per_panel=rows_per_panel,
        threads=threads,
    )
    check_exact(kernel, weight, n, dtype)


@STAGINGS
@pytest.mark.parametrize("chains", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [16, 48, 96, 112])
def test_long_rows_are_exact_for_every_number_of_chains(
    staging: str, width: int, chains: int
) -> None:
    """Rows of every remainder modulo the group, in tiles of one to seven vectors."""
    lengths = range(LONG_ROW, LONG_ROW + 3 * GROUP)
    weight = np.zeros((len(lengths), 40), np.float32)
    for row, length in enumerate(lengths):
        weight[row, 40 - length :] = np.arange(1, length + 1) % 5 + 1
    kernel = compiled(weight, 150, columns_per_thread=width, staging=staging, chains=chains)
    check_exact(kernel, weight, 150)


def test_more_chains_than_a_group_has_nonzeros_are_refused() -> None:
    with pytest.raises(ScheduleError, match="chains must be at most 4, got 5"):
        Schedule(lowering="data", chains=GROUP + 1)


@STAGINGS
@pytest.mark.parametrize("depth", [2**16, 2**16 + 1])
def test_columns_of_16_and_of_32_bits_are_exact(staging: str, depth: int) -> None:
    weight = np.zeros((2, depth), np.float32)
    weight[:, -7:] = 2
    weight[0, :: depth // 9] = 3
    weight[1, 1 :: depth // 9] = 1
    check_exact(compiled(weight, 2, staging=staging), weight, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 49, 196])
def test_default_schedule_is_within_the_error_bound(dtype: str, n: int) -> None:
    random = np.random.default_rng(2)
    weight = np.where(random.random((70, 90)) < 0.3, random.standard_normal((70, 90)), 0)
    weight = weight.astype(numpy_type(dtype))
    x = random.standard_normal((90, n)).astype(numpy_type(dtype))
    y = sparsert_ir.compile(weight, n, dtype=dtype, target="cpu")(x)  # pyright: ignore
    wide_weight, wide_x = weight.astype(np.float64), x.astype(np.float64)
    magnitude = np.abs(wide_weight) @ np.abs(wide_x)
    error = np.abs(y - wide_weight @ wide_x)
    rounding = ROUNDOFF[dtype] * np.abs(wide_weight @ wide_x) if dtype != "f32" else 0
    assert (error <= 2.0**-24 * 94 * magnitude + rounding + 2.0**-24).all()


@pytest.mark.parametrize("accumulation", ["plain", "folded", "f32"])
@STAGINGS
def test_every_f16_accumulation_is_exact_on_whole_numbers(accumulation: str, staging: str) -> None:
    weight = whole_matrix(9, 50, 0.5)
    kernel = compiled(
        weight, 40, "f16", accumulation=accumulation, staging=staging, columns_per_thread=32
    )
    check_exact(kernel, weight, 40, "f16")


def test_plain_f16_rounds_every_sum_to_f16() -> None:
    """2048 + 1 is 2048 in f16, however often 1 is added."""
    weight = np.ones((1, 9), np.float32)
    x = np.ones((9, 1), np.float16)
    x[0] = 2048
    plain = compiled(weight, 1, "f16", accumulation="plain")(x)
    wide = compiled(weight, 1, "f16", accumulation="f32")(x)
    assert (plain[0, 0], wide[0, 0]) == (2048, 2056)


@pytest.fixture
def many_workers(monkeypatch: pytest.MonkeyPatch) -> WorkerTeam:
    """However few cores there are."""
    team = WorkerTeam(most=63)
    monkeypatch.setattr(host_kernel, "team", lambda: team)
    return team


@STAGINGS
@pytest.mark.parametrize(("rows_per_panel", "width"), [(1, 32), (3, 48), (7, 196)])
def test_results_have_the_same_bits_for_every_number_of_threads(
    many_workers: WorkerTeam, staging: str, rows_per_panel: int, width: int
) -> None:
    random = np.random.default_rng(3)
    weight = np.where(random.random((61, 80)) < 0.3, random.standard_normal((61, 80)), 0)
    x, residual = (random.standard_normal(s).astype(np.float32) for s in ((80, 196), (61, 196)))
    results: list[bytes] = []
    for threads in (1, 2, 5, 64):
        kernel = compiled(
            weight,
            196,
            rows_per_panel=rows_per_panel,
            columns_per_thread=width,
            staging=staging,
            threads=threads,
            bias=np.arange(61),
            activation="relu",
            residual=True,
        )
        assert kernel.threads == threads
        for _ in range(20):
            y = np.full((61, 196), np.nan, np.float32)
            results.append(kernel(x, residual, out=y).tobytes())
    assert set(results) == {results[0]}
    assert many_workers.size > 4


@pytest.mark.parametrize(("rows", "n"), [(3, 7), (30, 100)])
def test_results_without_out_are_right_and_large_ones_begin_on_cache_lines(
    rows: int, n: int
) -> None:
    weight, x = whole_matrix(rows, 5, 0.5), np.ones((5, n), np.float32)
    y = compiled(weight, n)(x)
    assert y.nbytes < 4096 or y.ctypes.data % 64 == 0
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, weight @ x)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, 10**6])
def test_a_wrong_number_of_threads_is_refused(threads: Any) -> None:
    with pytest.raises(ArgumentError, match="threads: expected a whole number from 1"):
        sparsert_ir.compile(np.eye(2), 1, target="cpu", threads=threads)


def test_threads_are_refused_for_a_gpu() -> None:
    with pytest.raises(ArgumentError, match="threads: expected None for target sm_80"):
        sparsert_ir.compile(np.eye(2), 1, target="sm_80", threads=2)


def test_copies_are_refused_for_a_gpu() -> None:
    schedule = Schedule(staging="copy")
    with pytest.raises(ScheduleError, match="staging must be one of none, async, bulk, got copy"):
        sparsert_ir.compile(np.eye(2), 1, target="sm_80", schedule=schedule)


LESSER_PROCESSORS = {
    "AVX2": ("haswell", "+avx2,+fma,+f16c,-avx512f", AVX2),
    "AVX": ("sandybridge", "+avx,-avx2,-fma,-f16c,-avx512f", AVX2),
    "SSE2": ("x86-64", "-avx,-fma,-f16c", SSE),
}


@pytest.fixture(params=LESSER_PROCESSORS)
def lesser_processor(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simd]:
    """Code for what this processor can do, but newer instructions are left out."""
    name, features, simd = LESSER_PROCESSORS[request.param]
    if "+avx2" not in host.host_description()[1]:
        pytest.skip("needs an x86 processor with AVX2")
    monkeypatch.setattr(host, "host_description", lambda: (name, features))
    for cached in (host_simd, host_limits):
        cached.cache_clear()
    yield simd
    for cached in (host_simd, host_limits):
        cached.cache_clear()


@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_for_lesser_processors_are_exact(lesser_processor: Simd, dtype: str) -> None:
    assert host_simd() == lesser_processor
    weight = whole_matrix(40, 90, 0.4)
    if dtype == "f16" and "+f16c" not in host.host_description()[1]:
        with pytest.raises(CodegenError, match="expected a processor that converts f16"):
            sparsert_ir.compile(weight, 7, target="cpu", dtype="f16")
        return
    for n in (1, 7, 50, 150):
        schedule = default_cpu_schedule((40, 90), n, dtype, 1440)
        filled = lesser_processor.filled(schedule.columns_per_thread)
        assert schedule.chains * filled <= lesser_processor.registers
        kernel = sparsert_ir.compile(weight, n, target="cpu", dtype=cast(Any, dtype))
        assert kernel.schedule.columns_per_thread == schedule.columns_per_thread
        assert "zmm" not in kernel.assembly
        check_exact(kernel, weight, n, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_for_neon_are_vectors_in_registers(dtype: str) -> None:
    """What LLVM makes of a kernel for AArch64: multiply-adds of four numbers, none of the runtime
    library's functions, and few of its many registers kept in memory.
    """
    binding: Any = pytest.importorskip("llvmlite.binding")
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple("aarch64-unknown-linux-gnu")
    machine = target.create_target_machine(cpu="neoverse-n1", opt=3)
    weight = whole_matrix(64, 90, 0.4)
    facts = CpuFacts(64, 90, 150, int(np.count_nonzero(weight)), dtype)
    schedule = next(one for one in cpu_candidates(facts, NEON) if one.columns_per_thread == 32)
    kernel = sparsert_ir.compile(
        weight, 150, target="cpu", dtype=cast(Any, dtype), schedule=schedule
    )
    module = binding.parse_assembly(kernel.llvm_ir)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    builder = binding.create_pass_builder(
        machine, binding.create_pipeline_tuning_options(speed_level=3)
    )
    builder.getModulePassManager().run(module, builder)
    assembly = machine.emit_assembly(module)
    assert len(re.findall(r"fmla\tv\d+\.4s", assembly)) >= 8 * schedule.chains
    assert not re.search(r"\tbl\t", assembly)
    assert len(re.findall(r"\[sp", assembly)) < 30


def test_a_layer_of_26000_nonzeros_compiles_within_the_limit() -> None:
    """1.5 s on one core; measured 0.1 to 0.2 s, so a busy machine does not fail this."""
    random = np.random.default_rng(4)
    weight = np.where(random.random((512, 512)) < 0.1, random.standard_normal((512, 512)), 0)
    assert sparsert_ir.compile(weight, 196, target="cpu").stats.seconds < 1.5
