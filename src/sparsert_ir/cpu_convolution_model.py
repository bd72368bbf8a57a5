"""How long a convolution takes on a CPU with a given schedule, and which schedule is fastest."""

import math
from dataclasses import dataclass

from sparsert_ir.column_tiles import pieces, vectors
from sparsert_ir.cpu_model import CpuLimits
from sparsert_ir.element_types import ELEMENT_BYTES, default_accumulation
from sparsert_ir.errors import ScheduleError
from sparsert_ir.image_tiles import ImageTiles, image_tiles
from sparsert_ir.row_packing import reads_groups
from sparsert_ir.schedule import Schedule
from sparsert_ir.window import Window

_NS = 1e-9
_WIDEST_LANE = 256
_NARROW_LANE = 32
"""Below it the model is too optimistic: few sums are under way at once."""


@dataclass(frozen=True)
class ConvolutionFacts:
    """What the model must know. rows: output channels. dtype: of x and y."""

    window: Window
    rows: int
    nonzeros: int
    dtype: str = "f32"


@dataclass(frozen=True)
class ConvolutionLimits:
    """What `CpuLimits` does not have, measured on the same processor (docs/cpu.md), in nanoseconds.

    unaligned: factor on multiply-adds whose vectors of x begin anywhere.
    copied:    each vector of the padded copy; picked: factor on it where strides leave columns out.
    number:    each element of the copy where a pixel's channels are neighbours.
    result:    each vector of the result.
    """

    unaligned: float = 1.1
    copied: float = 0.84
    picked: float = 1.3
    number: float = 1.2
    result: float = 0.84


def predict_cpu_convolution(facts: ConvolutionFacts, schedule: Schedule) -> float:
    """Seconds that one call takes on one thread, x and y warm in the last cache.

    Only for `lowering = "data"`: ScheduleError for code, whose time on a CPU is not modelled.
    """
    if schedule.lowering != "data":
        raise ScheduleError('cost model: on a CPU only lowering = "data" is modelled')
    limits = CpuLimits()
    tiles = image_tiles(facts.window, schedule.columns_per_thread)
    lane = tiles.lane(schedule.columns_per_thread)
    multiply = facts.nonzeros * _per_nonzero(facts, tiles, lane, limits)
    results = facts.rows * _result_ns(facts, tiles)
    tile = multiply + results + _copy_ns(facts, tiles)
    element = ELEMENT_BYTES[facts.dtype]
    elements = facts.window.batch * (
        math.prod(facts.window.image) * facts.window.channels + facts.rows * facts.window.pixels
    )
    beyond = max(0.0, (elements * element - limits.l2_bytes) / 64)
    return (limits.call + tiles.count * tile + limits.memory * beyond) * _NS


def _per_nonzero(facts: ConvolutionFacts, tiles: ImageTiles, lane: int, limits: CpuLimits) -> float:
    """Nanoseconds for one tile. A copy that is larger than L1 soon is in L2 altogether."""
    lanes = -(-tiles.copy.columns // lane)
    count = lanes * sum(vectors(size) for _, size in pieces(lane))
    grouped = reads_groups(lane, facts.rows, facts.nonzeros)
    read = lanes * (limits.group if grouped else limits.single)
    missing = min(1.0, max(0.0, 4 * tiles.copy_elements / limits.l1_bytes - 1))
    near = limits.near * ConvolutionLimits().unaligned * count
    return read + (near**3 + (missing * limits.far * count) ** 3) ** (1 / 3)


def _result_ns(facts: ConvolutionFacts, tiles: ImageTiles) -> float:
    limits, width = ConvolutionLimits(), facts.window.output[1]
    if facts.window.layout == "nhwc":
        return tiles.lines * width * limits.number
    return tiles.lines * vectors(width) * limits.result


def _copy_ns(facts: ConvolutionFacts, tiles: ImageTiles) -> float:
    limits, copy = ConvolutionLimits(), tiles.copy
    if facts.window.layout == "nhwc":
        return tiles.copy_elements * limits.number
    rows = facts.window.channels * copy.planes * copy.down.size
    factor = limits.picked if facts.window.strides[1] > 1 else 1.0
    return rows * vectors(copy.pitch) * limits.copied * factor


def cpu_convolution_candidates(facts: ConvolutionFacts) -> list[Schedule]:
    """The schedules worth considering, in no order of merit, always the same: tiles of as many
    lines as registers hold, or parts of a line.
    """
    height, width = facts.window.output
    pitch = image_tiles(facts.window, 1).copy.pitch
    most = min(height, 1 + max(0, _WIDEST_LANE - width) // pitch)
    whole = [width + (lines - 1) * pitch for lines in range(1, 1 + most)]
    columns = {count for count in whole if _NARROW_LANE <= count <= _WIDEST_LANE}
    # Many numbers of lines at most lead to the same tiles.
    columns = {image_tiles(facts.window, count).copy.columns for count in columns}
    columns |= {limit for limit in (64, 128, _WIDEST_LANE) if limit < width}
    return [
        Schedule(
            lowering="data",
            rows_per_panel=1,
            threads=1,
            columns_per_thread=count,
            accumulation=default_accumulation(facts.dtype),
        )
        for count in sorted(columns or whole[-1:])
    ]


def best_cpu_convolution(facts: ConvolutionFacts) -> Schedule:
    """The candidate with the shortest predicted time, the first of equals."""
    candidates = cpu_convolution_candidates(facts)
    return min(candidates, key=lambda schedule: predict_cpu_convolution(facts, schedule))
