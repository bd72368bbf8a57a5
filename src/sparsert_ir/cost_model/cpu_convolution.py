"""How long a convolution takes on a CPU with a given schedule."""

import math
from dataclasses import dataclass

from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.cost_model.cpu import host_limits
from sparsert_ir.cpu.column_tiles import pieces, vectors
from sparsert_ir.cpu.image_tiles import ImageTiles, image_tiles
from sparsert_ir.cpu.row_packing import reads_groups
from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.errors import ScheduleError
from sparsert_ir.schedule import Schedule

_NS = 1e-9


@dataclass(frozen=True)
class ConvolutionLimits:
    """What `CpuLimits` does not have, measured on the same processor (docs/cpu.md), in nanoseconds.

    unaligned: factor on multiply-adds whose vectors of x begin anywhere.
    copied:    each vector of the padded copy; picked: factor on it where strides leave columns out.
    number:    each element of the copy where a pixel's channels are neighbours.
    result:    each vector of the result; between: of that of a depthwise convolution, which is
               written to a buffer.
    """

    unaligned: float = 1.1
    copied: float = 0.84
    picked: float = 1.3
    number: float = 1.2
    result: float = 0.84
    between: float = 0.5


def predict_cpu_convolution(facts: ConvolutionFacts, schedule: Schedule) -> float:
    """Seconds that one call takes on one thread, x and y warm in the last cache.

    Only for `lowering = "data"`: ScheduleError for code, whose time on a CPU is not modelled.
    """
    if schedule.lowering != "data":
        raise ScheduleError('cost model: on a CPU only lowering = "data" is modelled')
    limits = host_limits()
    tiles = image_tiles(facts.window, schedule.columns_per_thread)
    tile = facts.rows * _result_ns(facts, tiles) + _copy_ns(facts, tiles)
    lane = _LaneCost.of(tiles, tiles.lane(schedule.columns_per_thread))
    grouped = reads_groups(lane.width, facts.rows, facts.nonzeros)
    unaligned = ConvolutionLimits().unaligned
    if facts.depthwise is None:
        tile += facts.nonzeros * lane.multiply_ns(grouped, unaligned, tiles.copy_elements)
    else:
        between = facts.depthwise.rows * tiles.row_stride
        tile += facts.depthwise.nonzeros * lane.multiply_ns(False, unaligned, 0)
        tile += facts.depthwise.rows * lane.vectors * ConvolutionLimits().between
        tile += facts.nonzeros * lane.multiply_ns(grouped, 1.0, between)
    element = ELEMENT_BYTES[facts.dtype]
    elements = facts.window.batch * (
        math.prod(facts.window.image) * facts.window.channels + facts.rows * facts.window.pixels
    )
    beyond = max(0.0, (elements * element - limits.l2_bytes) / 64)
    return (limits.call + tiles.count * tile + limits.memory * beyond) * _NS


@dataclass(frozen=True)
class _LaneCost:
    """The lanes of one tile: their number and width, and vectors of all together."""

    count: int
    width: int
    vectors: int

    @classmethod
    def of(cls, tiles: ImageTiles, width: int) -> "_LaneCost":
        count = -(-tiles.copy.columns // width)
        return cls(count, width, count * sum(vectors(size) for _, size in pieces(width)))

    def multiply_ns(self, grouped: bool, factor: float, read_elements: int) -> float:
        """Nanoseconds of one nonzero, for one tile, that reads a buffer of so many elements; one
        that is larger than L1 soon is in L2 altogether.
        """
        limits = host_limits()
        read = self.count * (limits.group if grouped else limits.single)
        missing = min(1.0, max(0.0, 4 * read_elements / limits.l1_bytes - 1))
        near = limits.near * factor * self.vectors
        return read + (near**3 + (missing * limits.far * self.vectors) ** 3) ** (1 / 3)


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
