"""The kernels that compute-sanitizer watches have every knob, and compile; its faults assemble."""

from collections import defaultdict
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from ptxas import assemble
from sanitize_kernels import run_kernels, watch
from sanitizer_cases import COLUMNS, DTYPES, KernelCase, all_cases
from sanitizer_faults import FAULTS, fault_ptx

from sparsert_ir import Kernel, Schedule
from sparsert_ir.runtime.device import Gpu
from sparsert_ir.schedule import CHOICES
from sparsert_ir.schedules.knobs import knobs_in_use

NUMBERS_WANTED = 2
ON_CPUS = {"staging": {"copy"}}
"""Words that mean something on a CPU only."""


@pytest.fixture(scope="module")
def compiled() -> list[tuple[KernelCase, Kernel]]:
    return [(case, case.compile("sm_90")) for case in all_cases()]


def values_seen(
    compiled: list[tuple[KernelCase, Kernel]], lowering: str, dtype: str, convolution: bool
) -> dict[str, set[Any]]:
    """Knob -> its values among the kernels of that kind."""
    seen: defaultdict[str, set[Any]] = defaultdict(set)
    for case, kernel in compiled:
        of_kind = (kernel.schedule.lowering, case.dtype) == (lowering, dtype)
        if of_kind and ("convolution" in case.name) == convolution:
            for name, value in knobs_in_use(kernel.schedule, "gpu", dtype).items():
                seen[name].add(value)
    return seen


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lowering", ["code", "data"])
def test_every_knob_of_a_product_varies(
    compiled: list[tuple[KernelCase, Kernel]], lowering: Any, dtype: str
) -> None:
    seen = values_seen(compiled, lowering, dtype, convolution=False)
    schedule = Schedule(lowering=lowering, accumulation="folded")
    knobs = set(knobs_in_use(schedule, "gpu", dtype))
    if lowering == "code":
        knobs |= set(knobs_in_use(replace(schedule, staging="async"), "gpu", dtype))
    else:
        knobs -= {"accumulation", "fold_length"}  # its sums are in f32
    if dtype == "bf16":
        knobs -= {"accumulation", "fold_length"}
    for name in knobs - {"lowering"}:
        if name in CHOICES:
            assert seen[name] == set(CHOICES[name]) - ON_CPUS.get(name, set()), name
        else:
            assert len(seen[name]) >= NUMBERS_WANTED, name


def test_no_knob_is_forgotten(compiled: list[tuple[KernelCase, Kernel]]) -> None:
    """Every field of a schedule that is for GPUs is used by some kernel."""
    used = {
        name
        for case, kernel in compiled
        for name in knobs_in_use(kernel.schedule, "gpu", case.dtype)
    }
    assert used == {field.name for field in fields(Schedule)} - {"chains"}


def test_shapes_and_kinds(compiled: list[tuple[KernelCase, Kernel]]) -> None:
    products = {
        (kernel.schedule.lowering, case.dtype, case.columns)
        for case, kernel in compiled
        if "convolution" not in case.name
    }
    for lowering in ("code", "data"):
        for dtype in DTYPES:
            assert {(lowering, dtype, columns) for columns in COLUMNS} <= products
            assert values_seen(compiled, lowering, dtype, convolution=True)
    assert sum(case.update is not None for case, _ in compiled) > len(COLUMNS)
    shared = [kernel.binary.launch.shared_bytes for _, kernel in compiled]
    assert max(shared) > 48 * 1024
    assert any("x in slices" in case.name for case, _ in compiled)


def test_a_knob_that_separable_convolutions_have_is_used_by_one(
    compiled: list[tuple[KernelCase, Kernel]],
) -> None:
    separable = [
        (case, kernel) for case, kernel in compiled if "separable convolution" in case.name
    ]
    assert {case.dtype for case, _ in separable} == set(DTYPES)
    plain = Schedule()
    for name in set(knobs_in_use(plain, "gpu", "f32")) - {"lowering", "staging", "cluster"}:
        values = {getattr(kernel.schedule, name) for _, kernel in separable}
        assert len(values) >= NUMBERS_WANTED, name


def test_names_are_unique(compiled: list[tuple[KernelCase, Kernel]]) -> None:
    names = [case.name for case, _ in compiled]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("tool", FAULTS)
def test_faults_assemble(tool: str, tmp_path: Path) -> None:
    assert assemble(fault_ptx(tool), "sm_90", tmp_path).registers > 0


REPORTS = {
    "finds its fault and nothing else": ("exit 99", "exit 0", True),
    "is blind": ("exit 0", "exit 0", False),
    "finds something in the kernels": ("exit 99", "exit 99", False),
}


@pytest.mark.parametrize("report", REPORTS)
def test_a_tool_must_find_its_fault_and_nothing_else(report: str, tmp_path: Path) -> None:
    at_fault, at_kernels, good = REPORTS[report]
    program = tmp_path / "compute-sanitizer"
    words = FAULTS["racecheck"].words
    lines = ["#!/bin/sh", f'case "$*" in *--fault*) echo "{words}"; {at_fault};; esac', at_kernels]
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)
    assert watch(str(program), "racecheck") == good


@pytest.mark.usefixtures("gpu")
def test_every_kernel_is_exact_without_a_tool(gpu: Gpu) -> None:
    count = run_kernels(poisoned=True)
    assert not count.wrong
    assert count.results == count.launches > 2 * count.kernels > 200
