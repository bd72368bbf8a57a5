"""A depthwise and a pointwise convolution: one kernel or two, and the schedule of the one."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.cost_model.cpu_convolution import predict_cpu_convolution
from sparsert_ir.cost_model.gpu import LOAD_CLOCKS, SERIAL_US, Product, predict_us, time_parts
from sparsert_ir.cost_model.limits import GpuLimits, floor_us, limits_of
from sparsert_ir.element_types import fastest_accumulation
from sparsert_ir.errors import ScheduleError
from sparsert_ir.gpu.depthwise_stage import stage_panel_height
from sparsert_ir.gpu.shared_memory import depthwise_bytes, partial_sum_bytes, sum_bytes
from sparsert_ir.gpu_facts import (
    BLOCK_THREADS,
    LARGEST_BLOCK_Z,
    OVERLAP_FROM,
    STATIC_SHARED_MEMORY,
    architecture_number,
    shared_memory_of,
)
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.convolution import convolution_lowering, default_convolution
from sparsert_ir.schedules.cpu import best_cpu_convolution, cpu_convolution_candidates

_REGISTER_FILE, _OTHER_REGISTERS = 65536, 24
_ISSUE, _LOADS, _LATENCY, _FETCH = (
    "issue of instructions", "loads through L1", "latency", "code that is new",
)  # fmt: skip
"""Of `time_parts`."""


@dataclass(frozen=True)
class SeparableChoice:
    """fused: whether one kernel computes both. reason: in words that follow a colon."""

    fused: bool
    reason: str


def choose_separable(facts: ConvolutionFacts, target: str) -> SeparableChoice:
    """One kernel where the models say that it takes less time than two."""
    try:
        schedule = default_separable(facts, target)
    except ScheduleError as error:
        return SeparableChoice(False, str(error))
    if target == "cpu":
        together = 1e6 * predict_cpu_convolution(facts, schedule)
    else:
        together = predict_separable_us(schedule, facts, limits_of(target))
    first, second = facts.halves()
    apart = _alone_us(first, target, shared=True) + _alone_us(second, target)
    words = f"{together:.1f} us predicted for one kernel, {apart:.1f} us for two"
    return SeparableChoice(together < apart, words)


def _alone_us(facts: ConvolutionFacts, target: str, *, shared: bool = False) -> float:
    """Microseconds of one of the two kernels.

    shared: rows of x's window are the same elements, which come into a multiprocessor only once.
    """
    if target == "cpu":
        return 1e6 * predict_cpu_convolution(facts, best_cpu_convolution(facts))
    limits, shape = limits_of(target), (facts.rows, facts.window.depth)
    product = Product(shape, facts.nonzeros, facts.window.columns, facts.dtype)
    lowering = convolution_lowering(shape, facts.nonzeros, facts.window).lowering
    schedule = default_convolution(
        shape, facts.window, facts.dtype, target, lowering, facts.nonzeros
    )
    whole = predict_us(schedule, product, limits)
    if not shared or schedule.lowering == "data":
        return whole
    parts = time_parts(schedule, product, limits)
    least = floor_us(
        limits, (facts.rows, facts.window.channels), facts.nonzeros, product.columns, facts.dtype
    )
    busy = max(parts[_ISSUE], parts[_LOADS])
    start = 0.0 if schedule.launch == "overlapped" else SERIAL_US
    return min(whole, max(least, start + busy + parts[_LATENCY] + parts[_FETCH]))


def default_separable(
    facts: ConvolutionFacts, target: str, shared_memory: int | None = None
) -> Schedule:
    """The schedule of the one kernel for "cpu" or an architecture, by the models.

    shared_memory: bytes that a block has; None: what the architecture gives.
    Raises ScheduleError where the columns of a block do not fit into it.
    """
    if target == "cpu":
        return best_cpu_convolution(facts)
    return best_separable(facts, target, 1, shared_memory)[0]


def best_separable(
    facts: ConvolutionFacts, target: str, count: int, shared_memory: int | None = None
) -> list[Schedule]:
    """The `count` schedules that look fastest; errors as of `default_separable`."""
    if target == "cpu":
        found = cpu_convolution_candidates(facts)
        return sorted(found, key=lambda one: predict_cpu_convolution(facts, one))[:count]
    found, limits = separable_candidates(facts, target, shared_memory), limits_of(target)
    return sorted(found, key=lambda one: predict_separable_us(one, facts, limits))[:count]


def separable_candidates(
    facts: ConvolutionFacts, architecture: str, shared_memory: int | None = None
) -> list[Schedule]:
    """Schedules for a GPU, in no order of merit: all panels in one block, where they have room, so
    that each column's depthwise part is computed once.
    """
    overlap = architecture_number(architecture) >= OVERLAP_FROM
    available = shared_memory or shared_memory_of(architecture)
    found = list(dict.fromkeys(_candidates(facts, available)))
    if not found:
        assert facts.depthwise is not None
        raise ScheduleError(
            f"schedule: expected at most {available} bytes of workgroup memory"
            f" for 32 columns of {facts.depthwise.rows} channels"
        )
    return [replace(one, launch="overlapped") for one in found] if overlap else found


def _candidates(facts: ConvolutionFacts, shared_memory: int) -> Iterator[Schedule]:
    assert facts.depthwise is not None
    pairs = facts.dtype == "f16" and facts.window.columns % 2 == 0
    base = Schedule(permutation="clustered", accumulation=fastest_accumulation(facts.dtype))
    # What is between has the element type of the sums.
    element = sum_bytes(base, facts.dtype)
    for threads, width in itertools.product((32, 64, 128), (2, 1) if pairs else (1,)):
        columns = threads * width
        across = replace(base, threads=threads, columns_per_thread=width)
        between = depthwise_bytes(across, facts.depthwise.rows, element)
        if between > shared_memory or (threads > 32 and columns >= 2 * facts.window.columns):
            continue
        for height in sorted({min(height, facts.rows) for height in (4, 8, 16, 32, 64)}):
            panels = -(-facts.rows // height)
            side = min(panels, BLOCK_THREADS // threads, LARGEST_BLOCK_Z)
            # Even rounds of panels where one block cannot have all.
            side = -(-panels // -(-panels // side))
            if height + _OTHER_REGISTERS > _REGISTER_FILE // (threads * side):
                continue
            one = replace(across, rows_per_panel=height, panels_per_block=side)
            yield one
            split = replace(one, k_groups=2)
            shared = between + partial_sum_bytes(split, element)
            if panels == 1 and shared <= STATIC_SHARED_MEMORY:
                yield split


def predict_separable_us(schedule: Schedule, facts: ConvolutionFacts, limits: GpuLimits) -> float:
    """Microseconds per launch: both products one after the other in one kernel, from the terms of
    `sparsert_ir.cost_model.gpu`. The whole was not fitted to measurements.
    """
    first, second = (
        Product((half.rows, half.window.depth), half.nonzeros, half.window.columns, half.dtype)
        for half in facts.halves()
    )
    if facts.window.kernel[1] > 1 and facts.dtype == "f16":
        # The two columns of a pair are loaded one by one.
        first = replace(first, dtype="f32")
    workers = schedule.k_groups * schedule.panels_per_block
    height = stage_panel_height(first.shape[0], workers)
    stage = replace(schedule, rows_per_panel=height, k_groups=1, panels_per_block=workers)
    depthwise = time_parts(stage, first, limits)
    pointwise = time_parts(schedule, second, limits)
    repeats = -(-second.shape[0] // (schedule.rows_per_panel * schedule.panels_per_block))
    blocks = repeats * -(-second.columns // (schedule.threads * schedule.columns_per_thread))
    imbalance = -(-blocks // limits.multiprocessors) * limits.multiprocessors / blocks
    busy = repeats * max(depthwise[_ISSUE], depthwise[_LOADS])
    busy += max(pointwise[_ISSUE], pointwise[_LOADS])
    latency = depthwise[_LATENCY] + pointwise[_LATENCY]
    # The product reads shared memory, which answers at once.
    latency -= LOAD_CLOCKS / (limits.clock_ghz * 1e3)
    fetch = depthwise[_FETCH] + pointwise[_FETCH]
    start = 0.0 if schedule.launch == "overlapped" else SERIAL_US
    return start + busy * imbalance + latency + fetch
