"""Which knobs of a schedule mean something where: on a GPU or a CPU, for code or for data.

A knob that would be ignored is refused, so that a schedule never says what the kernel does not do.
Two depend on the element type as well, and are ignored where it is not f16: `accumulation` (but see
`check_accumulation`) and `fold_length`, which counts where sums are folded.
"""

from dataclasses import asdict, fields
from typing import Literal, TypeAlias

from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu_facts import (
    ASYNC_COPY_FROM,
    BULK_COPY_FROM,
    CLUSTERS_FROM,
    MMA_FROM,
    OVERLAP_FROM,
)
from sparsert_ir.schedule import Schedule

Place: TypeAlias = Literal["gpu", "cpu"]
Kind: TypeAlias = Literal["product", "convolution", "separable"]
"""What a schedule is for; "separable": a depthwise convolution and a pointwise one in a kernel."""

_WORDS: dict[Kind, str] = {
    "product": "a product",
    "convolution": "a convolution",
    "separable": "a depthwise and a pointwise convolution",
}
_EVERYWHERE = ("lowering", "rows_per_panel", "columns_per_thread", "accumulation", "fold_length")
_ON_GPUS = (*_EVERYWHERE, "threads", "stores", "launch")
_OF_CODE_ON_GPUS = (
    "permutation", "k_groups", "cluster", "column_tiles", "panels_per_block", "block_order",
    "staging",
)  # fmt: skip
_OF_DATA_ON_GPUS = ("chunk", "stages", "column_groups", "panels_per_warp", "instruction")
_OF_STAGED_CODE = ("stages", "rows_per_stage")
_KNOBS = {
    ("gpu", "code"): (*_ON_GPUS, *_OF_CODE_ON_GPUS),
    ("gpu", "data"): (*_ON_GPUS, *_OF_DATA_ON_GPUS),
    ("cpu", "code"): (*_EVERYWHERE, "permutation", "staging"),
    ("cpu", "data"): (*_EVERYWHERE, "staging", "chains"),
}
"""(Place, lowering) -> knobs that the mapping passes read."""
_STAGING = {"gpu": ("none", "async", "bulk"), "cpu": ("none", "copy")}


def _used(schedule: Schedule, place: Place) -> set[str]:
    staged = place == "gpu" and schedule.lowering == "code" and schedule.staging != "none"
    return {*_KNOBS[place, schedule.lowering], *(_OF_STAGED_CODE if staged else ())}


_UNUSED: dict[Kind, tuple[str, ...]] = {
    "product": (),
    "convolution": ("staging",),
    "separable": ("staging", "cluster"),
}
"""Kind -> knobs that it leaves alone: convolutions on a CPU always copy x, and every block computes
the depthwise part of its columns itself.
"""


def check_knobs(schedule: Schedule, place: Place, *, kind: Kind = "product") -> None:
    """Raise ScheduleError for a knob that is set but means nothing there.

    `threads` may also be 1 on a CPU.
    """
    used = _used(schedule, place) - set(_UNUSED[kind])
    for field in fields(Schedule):
        value = getattr(schedule, field.name)
        neutral = value == field.default or (field.name, value) == ("threads", 1)
        if field.name not in used and not neutral:
            what = _WORDS[kind]
            raise ScheduleError(
                f"schedule: {field.name} means nothing for {what} with lowering ="
                f" {schedule.lowering} on a {place.upper()}; expected its default,"
                f" {field.default}, got {value}"
            )
    if schedule.staging not in _STAGING[place]:
        raise ScheduleError(
            f"schedule: on a {place.upper()} staging must be one of"
            f" {', '.join(_STAGING[place])}, got {schedule.staging}"
        )


_NEEDS = {
    ("launch", "overlapped"): OVERLAP_FROM,
    ("staging", "async"): ASYNC_COPY_FROM,
    ("staging", "bulk"): BULK_COPY_FROM,
    ("instruction", "mma"): MMA_FROM,
}
"""(Knob, word) -> the oldest architecture that can do it."""


def check_architecture_has(schedule: Schedule, architecture: int) -> None:
    """Raise ScheduleError for what a GPU of this compute capability (times ten) lacks."""
    needs = [*_NEEDS.items()]
    if schedule.cluster > 1:
        needs.append((("cluster", str(schedule.cluster)), CLUSTERS_FROM))
    for (knob, word), oldest in needs:
        if str(getattr(schedule, knob)) == word and architecture < oldest:
            raise ScheduleError(
                f"schedule: {knob} = {word} needs target sm_{oldest} or later, got"
                f" sm_{architecture}"
            )


def check_accumulation(schedule: Schedule, dtype: str) -> None:
    """Raise ScheduleError for sums of a layer with elements `dtype` that nothing computes."""
    if dtype == "bf16" and schedule.accumulation != "f32":
        raise ScheduleError(
            "schedule: accumulation must be f32 for bf16, whose products are never added in bf16;"
            f" got {schedule.accumulation}"
        )


def knobs_in_use(schedule: Schedule, place: Place, dtype: str) -> dict[str, int | str]:
    """The knobs that decide how a kernel of this element type runs, in the order of `Schedule`."""
    used = _used(schedule, place)
    if dtype == "f32":
        used -= {"accumulation", "instruction"}
    if dtype != "f16" or schedule.accumulation != "folded":
        used.remove("fold_length")
    return {name: value for name, value in asdict(schedule).items() if name in used}
