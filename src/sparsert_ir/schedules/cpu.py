"""Schedules for a CPU: those worth considering, the default one, and how many threads pay."""

from dataclasses import replace

from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.cost_model.cpu import CpuFacts, CpuLimits, predict_cpu, predict_cpu_code
from sparsert_ir.cost_model.cpu_convolution import predict_cpu_convolution
from sparsert_ir.cpu.image_tiles import image_tiles
from sparsert_ir.cpu.row_packing import chains_for
from sparsert_ir.cpu.simd import Simd, host_simd
from sparsert_ir.element_types import default_accumulation
from sparsert_ir.schedule import Lowering, Schedule

_WIDEST_LANE = 256
_NARROW_LANE = 32
"""Below it the model of convolutions is too optimistic: few sums are under way at once."""


def cpu_candidates(facts: CpuFacts, simd: Simd | None = None) -> list[Schedule]:
    """The schedules worth considering, in no order of merit, always the same.

    simd: None: the host's.
    """
    registers = host_simd() if simd is None else simd
    return [
        Schedule(
            lowering="data",
            rows_per_panel=1,
            threads=1,
            columns_per_thread=width,
            staging=staging,
            chains=chains_for(width, facts.rows, facts.nonzeros, registers),
            accumulation=default_accumulation(facts.dtype),
        )
        for width in _widths(facts.columns, registers.widest)
        for staging in ("none", "copy")
    ]


def _widths(columns: int, widest: int) -> list[int]:
    """Widths of tiles: as wide as the product while that is little, or some that fill registers."""
    widths = {width for width in (16, 32, 48, 64, 96, 128, 192, 256) if width < columns}
    if columns <= 256:
        widths.add(columns)
    return sorted(width for width in widths if width <= widest) or [min(columns, 16)]


def best_cpu_schedule(facts: CpuFacts) -> Schedule:
    """The candidate with the shortest predicted time, the first of equals."""
    return min(cpu_candidates(facts), key=lambda schedule: predict_cpu(facts, schedule))


def with_lowering(schedule: Schedule, lowering: Lowering) -> Schedule:
    """A schedule for data on a CPU with another lowering; code has no chains."""
    chains = schedule.chains if lowering == "data" else 1
    return replace(schedule, lowering=lowering, chains=chains)


def threads_for(facts: CpuFacts, schedule: Schedule, cores: int) -> int:
    """Threads that make a call fastest, at most `cores`."""
    if schedule.lowering != "data":
        return threads_that_pay(predict_cpu_code(facts), cores)
    return threads_that_pay(predict_cpu(facts, schedule), cores)


def threads_that_pay(alone: float, cores: int) -> int:
    """Threads, at most `cores`, for a call that takes `alone` seconds on one: each must save more
    than waking them costs.
    """

    def seconds(threads: int) -> float:
        return alone / threads + (threads > 1) * CpuLimits().thread * 1e-9

    return min(range(1, cores + 1), key=seconds)


def cpu_convolution_candidates(facts: ConvolutionFacts) -> list[Schedule]:
    """The schedules worth considering, in no order of merit, always the same: tiles of as many
    lines as registers hold, or parts of a line.
    """
    height, width = facts.window.output
    widest = min(_WIDEST_LANE, host_simd().widest)
    pitch = image_tiles(facts.window, 1).copy.pitch
    most = min(height, 1 + max(0, widest - width) // pitch)
    whole = [width + (lines - 1) * pitch for lines in range(1, 1 + most)]
    columns = {count for count in whole if _NARROW_LANE <= count <= widest}
    # Many numbers of lines at most lead to the same tiles.
    columns = {image_tiles(facts.window, count).copy.columns for count in columns}
    columns |= {limit for limit in (64, 128, _WIDEST_LANE) if limit < width and limit <= widest}
    return [
        Schedule(
            lowering="data",
            rows_per_panel=1,
            threads=1,
            columns_per_thread=count,
            chains=chains_for(_lane(facts, count), facts.rows, facts.nonzeros, host_simd()),
            accumulation=default_accumulation(facts.dtype),
        )
        for count in sorted(columns or whole[-1:])
    ]


def _lane(facts: ConvolutionFacts, columns: int) -> int:
    """Columns that are summed together in tiles of so many."""
    return image_tiles(facts.window, columns).lane(columns)


def best_cpu_convolution(facts: ConvolutionFacts) -> Schedule:
    """The candidate with the shortest predicted time, the first of equals."""
    candidates = cpu_convolution_candidates(facts)
    return min(candidates, key=lambda schedule: predict_cpu_convolution(facts, schedule))
