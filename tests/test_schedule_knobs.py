"""Knobs that a target and a lowering do not use are refused; what is shown is what is used."""

from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import sparsert_ir
from sparsert_ir import Schedule
from sparsert_ir.errors import ScheduleError
from sparsert_ir.schedules.knobs import check_knobs, knobs_in_use

OTHER_VALUES: dict[str, Any] = {
    "rows_per_panel": 2,
    "permutation": "clustered",
    "k_groups": 2,
    "cluster": 2,
    "columns_per_thread": 2,
    "threads": 32,
    "column_tiles": 2,
    "panels_per_block": 2,
    "block_order": "panels",
    "stores": "streaming",
    "staging": "async",
    "accumulation": "folded",
    "fold_length": 8,
    "chains": 2,
    "chunk": 8,
    "stages": 2,
    "rows_per_stage": 8,
    "column_groups": 2,
    "panels_per_warp": 2,
    "instruction": "mma",
    "launch": "overlapped",
}
LOWERINGS = ("code", "data")


def small(target: str, schedule: Schedule) -> sparsert_ir.Kernel:
    return sparsert_ir.compile(np.eye(8), n=16, target=target, schedule=schedule)


def test_every_knob_has_another_value() -> None:
    assert {"lowering", *OTHER_VALUES} == {field.name for field in fields(Schedule)}


@pytest.mark.parametrize("place", ["gpu", "cpu"])
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_knob_is_used_or_refused(place: Any, lowering: Any) -> None:
    plain = Schedule(lowering=lowering)
    folded = replace(plain, accumulation="folded")
    others = {**OTHER_VALUES, "staging": "copy" if place == "cpu" else "async"}
    used = {*knobs_in_use(folded, place, "f16")}
    assert {"lowering", "rows_per_panel", "columns_per_thread"} <= used
    check_knobs(plain, place)
    for knob, value in others.items():
        changed = replace(plain, **{knob: value})
        if knob in used:
            check_knobs(changed, place)
        else:
            with pytest.raises(ScheduleError, match=f"{knob} means nothing .* got {value}"):
                check_knobs(changed, place)


@pytest.mark.parametrize(
    ("knob", "lowering"), list(product(("k_groups", "threads", "chunk", "stores"), LOWERINGS))
)
def test_a_cpu_refuses_knobs_of_gpus(knob: str, lowering: Any) -> None:
    schedule = replace(Schedule(lowering=lowering), **{knob: OTHER_VALUES[knob]})
    with pytest.raises(ScheduleError, match=f"{knob} means nothing for .* on a CPU"):
        small("cpu", schedule)


def test_a_gpu_refuses_the_knobs_of_the_other_lowering() -> None:
    with pytest.raises(ScheduleError, match="column_groups means nothing"):
        small("sm_80", Schedule(column_groups=2))
    with pytest.raises(ScheduleError, match="panels_per_block means nothing"):
        small("sm_80", Schedule(lowering="data", panels_per_block=2))


def test_clusters_need_a_gpu_that_has_them() -> None:
    with pytest.raises(ScheduleError, match="cluster = 2 needs target sm_90 or later, got sm_89"):
        small("sm_89", Schedule(cluster=2))
    with pytest.raises(ScheduleError, match=r"cluster means nothing for .* on a CPU"):
        small("cpu", Schedule(cluster=2))
    for blocks in (3, 16):
        with pytest.raises(ScheduleError, match=f"cluster must be 1, 2, 4 or 8, got {blocks}"):
            Schedule(cluster=blocks)


def test_one_thread_is_fine_on_a_cpu() -> None:
    kernel = small("cpu", Schedule(threads=1))
    x = np.arange(128, dtype=np.float32).reshape(8, 16)
    assert np.array_equal(kernel(x), x)


def test_a_convolution_on_a_cpu_has_no_staging() -> None:
    with pytest.raises(ScheduleError, match="staging means nothing for a convolution"):
        check_knobs(Schedule(staging="copy"), "cpu", kind="convolution")


def test_what_is_shown_depends_on_the_element_type() -> None:
    folded = Schedule(accumulation="folded")
    assert "accumulation" not in knobs_in_use(folded, "cpu", "f32")
    assert knobs_in_use(folded, "cpu", "f16") == {
        "lowering": "code",
        "rows_per_panel": 16,
        "permutation": "balanced",
        "columns_per_thread": 1,
        "staging": "none",
        "accumulation": "folded",
        "fold_length": 16,
    }
    assert "fold_length" not in knobs_in_use(Schedule(), "gpu", "f16")


def test_buffers_are_knobs_of_staged_code_only() -> None:
    for knob in ("stages", "rows_per_stage"):
        changed: dict[str, Any] = {knob: OTHER_VALUES[knob]}
        check_knobs(Schedule(staging="async", **changed), "gpu")
        with pytest.raises(ScheduleError, match=f"{knob} means nothing"):
            check_knobs(Schedule(**changed), "gpu")
    assert "stages" in knobs_in_use(Schedule(staging="async"), "gpu", "f32")
    assert "stages" not in knobs_in_use(Schedule(), "gpu", "f32")


@pytest.mark.parametrize(("place", "staging"), [("gpu", "copy"), ("cpu", "async")])
def test_each_place_has_its_own_staging(place: Any, staging: Any) -> None:
    with pytest.raises(ScheduleError, match=f"on a {place.upper()} staging must be one of none, "):
        check_knobs(Schedule(staging=staging), place)


def test_staging_needs_a_convolution_to_be_none() -> None:
    with pytest.raises(ScheduleError, match="staging means nothing for a convolution"):
        check_knobs(Schedule(staging="async"), "gpu", kind="convolution")
