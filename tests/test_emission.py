"""Generated PTX: ptxas takes it, nothing is spilled, and the same inputs give the same bytes."""

import itertools
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import compile_layer, pruned
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ptxas import assemble
from random_layers import GPU, GPU_DATA, cases, real_numbers

import sparsert_ir
from sparsert_ir import Schedule
from sparsert_ir.dense import Array
from sparsert_ir.element_types import DTYPES
from sparsert_ir.emit.ptx import ARCHITECTURES
from sparsert_ir.gpu_facts import STATIC_SHARED_MEMORY

ASSEMBLED = ("sm_75", "sm_80", "sm_90")


@pytest.mark.parametrize("architecture", ASSEMBLED)
@pytest.mark.parametrize("pipeline", [GPU, GPU_DATA])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_schedule_assembles_without_spills(
    pipeline: str, architecture: str, tmp_path: Path, data: st.DataObject
) -> None:
    case = data.draw(cases(pipeline, architecture=architecture))
    assume(case.dtype != "bf16" or architecture != "sm_75")
    kernel = compile_layer(real_numbers(case).layer, architecture)
    assert assemble(kernel.ptx, architecture, tmp_path).spill_bytes == 0


KNOBS: dict[str, dict[str, Any]] = {
    "default": {},
    "wide": {"columns_per_thread": 4, "stores": "streaming"},
    "many rows": {"rows_per_panel": 64},
    "K groups": {"k_groups": 4, "panels_per_block": 2, "threads": 32},
    "cluster": {"cluster": 4, "k_groups": 4, "threads": 32, "columns_per_thread": 2},
    "cluster of single groups": {"cluster": 8, "columns_per_thread": 2},
    "loops": {"column_tiles": 3, "block_order": "panels", "stores": "streaming"},
}


@pytest.mark.parametrize(
    ("dtype", "accumulation"),
    [*itertools.product(("f32", "f16"), ("plain", "folded", "f32")), ("bf16", "f32")],
)
@pytest.mark.parametrize("knobs", KNOBS)
def test_every_knob_assembles_for_a_layer_of_a_network(
    knobs: str, dtype: Any, accumulation: Any, tmp_path: Path
) -> None:
    target = "sm_90" if "cluster" in KNOBS[knobs] else "sm_80"
    kernel = sparsert_ir.compile(
        pruned(64, 128, 0.1),
        196,
        bias=np.ones(64),
        activation="relu",
        residual=True,
        dtype=dtype,
        target=target,
        schedule=Schedule(accumulation=accumulation, **KNOBS[knobs]),
    )
    assert assemble(kernel.ptx, target, tmp_path).spill_bytes == 0


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize(("n", "width"), [(49, 2), (1, 2), (1, 1)])
def test_odd_numbers_of_columns_assemble(n: int, width: int, dtype: Any, tmp_path: Path) -> None:
    schedule = Schedule(
        columns_per_thread=width,
        stores="streaming",
        k_groups=2,
        accumulation="f32" if dtype == "bf16" else "plain",
    )
    kernel = sparsert_ir.compile(
        pruned(8, 16, 0.5), n, dtype=dtype, residual="after", target="sm_90", schedule=schedule
    )
    assert assemble(kernel.ptx, "sm_90", tmp_path).spill_bytes == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_layer_of_real_size_assembles_without_spills(dtype: Any, tmp_path: Path) -> None:
    """512 x 512, 90% zeros, N = 196, with the schedule that the cost model chooses."""
    weight = pruned(512, 512, 0.1)
    kernel = sparsert_ir.compile(
        weight, 196, bias=np.ones(512), activation="relu", dtype=dtype, target="sm_90"
    )
    assembled = assemble(kernel.ptx, "sm_90", tmp_path)
    assert assembled.spill_bytes == 0
    assert assembled.registers <= 255


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize(("shape", "clustered"), [((512, 128), False), ((96, 1024), True)])
def test_kernels_for_large_n_leave_registers_for_all_warps_of_their_blocks(
    dtype: Any, shape: tuple[int, int], clustered: bool, tmp_path: Path
) -> None:
    kernel = sparsert_ir.compile(pruned(*shape, 0.1), 4096, dtype=dtype, target="sm_90")
    schedule = kernel.schedule
    assert schedule.panels_per_block == 2
    assert (schedule.cluster == 2) == clustered
    assembled = assemble(kernel.ptx, "sm_90", tmp_path)
    assert assembled.spill_bytes == 0
    assert assembled.registers * schedule.block_threads <= 65536


def test_the_sums_of_a_cluster_may_need_more_memory_than_every_gpu_has(tmp_path: Path) -> None:
    schedule = Schedule(rows_per_panel=64, threads=256, cluster=2)
    kernel = sparsert_ir.compile(pruned(64, 96, 0.1), 256, target="sm_90", schedule=schedule)
    assert kernel.binary.launch.shared_bytes > STATIC_SHARED_MEMORY
    assemble(kernel.ptx, "sm_90", tmp_path)


@pytest.mark.parametrize("architecture", ASSEMBLED)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("n", [1, 2, 7, 196])
def test_matrices_as_data_assemble_without_spills(
    architecture: str, dtype: Any, n: int, tmp_path: Path
) -> None:
    kernel = sparsert_ir.compile(
        pruned(64, 128, 0.1),
        n,
        bias=np.ones(64),
        activation="relu",
        residual=True,
        dtype=dtype,
        target=architecture,
        lowering="data",
    )
    assert kernel.schedule.lowering == "data"
    assert assemble(kernel.ptx, architecture, tmp_path).spill_bytes == 0


@pytest.mark.parametrize("launch", ["serial", "overlapped"])
def test_only_constants_are_read_before_the_kernel_before_is_done(launch: Any) -> None:
    """And only they through the cache for what never changes while the kernel runs."""
    schedule = Schedule(lowering="data", rows_per_panel=2, threads=128, launch=launch)
    kernel = sparsert_ir.compile(
        pruned(64, 128, 0.1), 1, residual=True, target="sm_90", schedule=schedule
    )
    before, _, after = kernel.ptx.rpartition("griddepcontrol.wait")
    changing = re.compile(r"\tld\.global\.(?!nc)")
    assert not changing.search(before)
    assert bool(changing.search(after)) == (launch == "overlapped")
    assert ("ld.global.nc" in before) == (launch == "overlapped")
    assert "ld.global.nc" in after


@pytest.mark.parametrize("residual", ["before", "after"])
@pytest.mark.parametrize("k_groups", [1, 2])
@pytest.mark.parametrize("launch", ["serial", "overlapped"])
def test_what_the_kernel_before_may_write_is_not_taken_to_be_constant(
    launch: Any, k_groups: int, residual: Any
) -> None:
    """x and the residual are read only after the wait, and not through the read-only cache."""
    schedule = Schedule(rows_per_panel=4, threads=32, k_groups=k_groups, launch=launch)
    kernel = sparsert_ir.compile(
        pruned(16, 32, 0.3), 32, residual=residual, target="sm_90", schedule=schedule
    )
    before, _, after = kernel.ptx.rpartition("griddepcontrol.wait")
    assert ("ld.global.nc" in after) == (launch == "serial")
    assert "ld.global" in after
    assert "ld.global" not in before


@pytest.mark.parametrize("k_groups", [1, 4])
def test_blocks_of_a_cluster_meet_once_before_the_kernel_before_is_done(k_groups: int) -> None:
    """Barriers of a cluster and fences in it flush caches; sums are sent without either."""
    schedule = Schedule(cluster=2, k_groups=k_groups, rows_per_panel=4, launch="overlapped")
    kernel = sparsert_ir.compile(pruned(16, 32, 0.3), 32, target="sm_90", schedule=schedule)
    before, wait, after = kernel.ptx.partition("griddepcontrol.wait")
    assert wait
    assert before.count("barrier.cluster.") == 2
    assert "barrier.cluster" not in after
    assert "fence" not in after
    computed, trigger, finished = after.partition("griddepcontrol.launch_dependents")
    assert trigger
    assert computed.rindex("st.async") < computed.rindex("mbarrier.try_wait")
    assert "st.global" not in computed
    assert "st.global" in finished


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ptx_is_for_the_target(architecture: str) -> None:
    ptx = sparsert_ir.compile(np.eye(2), 4, target=architecture).ptx
    assert f".target {architecture}\n" in ptx


def instructions(ptx: str) -> Counter[str]:
    """How often each instruction occurs."""
    words = (line.split()[0] for line in ptx.splitlines() if line.startswith("\t") and line.strip())
    return Counter(words)


def distinct(weight: Array) -> Array:
    """The same pattern without equal values: LLVM computes equal products once."""
    return np.where(weight == 0, 0, 2 + np.arange(weight.size).reshape(weight.shape) / 64)


def test_each_nonzero_is_one_instruction() -> None:
    """rows_per_panel = M: every used row of x is loaded once."""
    weight = distinct(pruned(32, 64, 0.2))
    kernel = sparsert_ir.compile(weight, 64, target="sm_90", schedule=Schedule(rows_per_panel=32))
    counts = instructions(kernel.ptx)
    assert counts["fma.rn.f32"] == np.count_nonzero(weight)
    assert counts["ld.global.nc.b32"] == np.count_nonzero(weight.any(axis=0)) == kernel.stats.loads


STORES = {
    ("f32", 1, 8): {"st.global.cs.b32": 8},
    ("f32", 2, 8): {"st.global.cs.v2.b32": 8},
    ("f32", 4, 8): {"st.global.cs.v4.b32": 8},
    ("f32", 8, 8): {"st.global.cs.v4.b32": 16},
    ("f16", 1, 8): {"st.global.cs.b16": 8},
    ("f16", 2, 8): {"st.global.cs.b32": 8},
    ("f16", 2, 7): {"st.global.cs.b16": 16},
    ("f16", 4, 8): {"st.global.cs.v2.b32": 8},
    ("f16", 8, 8): {"st.global.cs.v4.b32": 8},
    ("bf16", 1, 8): {"st.global.cs.b16": 8},
    ("bf16", 2, 7): {"st.global.cs.b16": 16},
    ("bf16", 4, 8): {"st.global.cs.v2.b32": 8},
}


@pytest.mark.parametrize(("dtype", "width", "n"), STORES)
@pytest.mark.parametrize("stores", ["streaming", "cached"])
def test_stores_are_streamed_where_the_schedule_says_so(
    dtype: Any, width: int, n: int, stores: Any
) -> None:
    accumulation = "f32" if dtype == "bf16" else "plain"
    schedule = Schedule(columns_per_thread=width, stores=stores, accumulation=accumulation)
    kernel = sparsert_ir.compile(
        pruned(8, 8, 0.5), n, dtype=dtype, target="sm_90", schedule=schedule
    )
    counts = instructions(kernel.ptx)
    found = {name: count for name, count in counts.items() if name.startswith("st.global")}
    expected = STORES[dtype, width, n]
    if stores == "cached":
        expected = {name.replace(".cs", ""): count for name, count in expected.items()}
    assert found == expected


@pytest.mark.parametrize("accumulation", ["plain", "folded"])
def test_pairs_of_f16_are_multiplied_by_one_instruction(accumulation: Any) -> None:
    weight = distinct(pruned(16, 16, 0.5))
    schedule = Schedule(columns_per_thread=2, accumulation=accumulation)
    kernel = sparsert_ir.compile(weight, 8, dtype="f16", target="sm_90", schedule=schedule)
    counts = instructions(kernel.ptx)
    assert counts["fma.rn.f16x2"] == np.count_nonzero(weight)
    assert counts["fma.rn.f16"] == 0


DIGESTS = """
import hashlib, sys
import numpy as np
import sparsert_ir
from sparsert_ir import Schedule

random = np.random.default_rng(7)
weight = random.standard_normal((48, 64)) * (random.random((48, 64)) < 0.2)
schedules = {
    "sm_75": Schedule(rows_per_panel=5, k_groups=3),
    "sm_90": Schedule(columns_per_thread=2, stores="streaming", accumulation="folded"),
    "cpu": None,
}
for target, schedule, lowering in [
    *((*item, None) for item in schedules.items()), ("sm_80", None, "data")
]:
    for dtype in ("f32", "f16") if schedule else ("f32", "f16", "bf16"):
        kernel = sparsert_ir.compile(
            weight, 50, bias=np.arange(48), activation="relu", residual=True, dtype=dtype,
            target=target, schedule=schedule, lowering=lowering,
        )
        texts = [kernel.llvm_ir, *map(kernel.ir, kernel.stages)]
        texts.append(kernel.assembly if target == "cpu" else kernel.ptx)
        print(hashlib.sha256("".join(texts).encode()).hexdigest())

weight = random.standard_normal((12, 8, 3, 3)) * (random.random((12, 8, 3, 3)) < 0.3)
for target in ("sm_90", "cpu"):
    for lowering in ("code", "data"):
        kernel = sparsert_ir.compile_conv2d(
            weight, (1, 8, 9, 9), padding=1, target=target, lowering=lowering
        )
        text = kernel.assembly if target == "cpu" else kernel.ptx
        print(hashlib.sha256((kernel.llvm_ir + text).encode()).hexdigest())
    kernel = sparsert_ir.compile_depthwise_separable(
        weight[:8, :1], weight[:, :, 0, 0], (1, 8, 9, 9), target=target, fused=True
    ).kernels[0]
    text = kernel.assembly if target == "cpu" else kernel.ptx
    print(hashlib.sha256((kernel.llvm_ir + text).encode()).hexdigest())
"""


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    outputs: list[str] = []
    for seed in range(4):
        directory = tmp_path / f"directory{seed}"
        directory.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS],
            cwd=directory,
            env={"PYTHONHASHSEED": str(seed), "PATH": "", "HOME": str(directory)},
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append(done.stdout)
    assert len(outputs[0].split()) == 16
    assert len(set(outputs)) == 1
