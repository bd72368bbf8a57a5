"""How long a product takes on a CPU with a given schedule, from a few measured limits."""

import functools
import math
from dataclasses import dataclass, replace

from sparsert_ir.cpu.column_tiles import ColumnTiles, column_tiles, pieces, vectors
from sparsert_ir.cpu.row_packing import reads_groups
from sparsert_ir.cpu.simd import AVX512, Simd, host_simd
from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.errors import ScheduleError
from sparsert_ir.schedule import Schedule

_NS = 1e-9


@dataclass(frozen=True)
class CpuFacts:
    """What the model must know of a product `y[M, N] = W[M, K] @ x[K, N]`.

    rows, depth, columns: M, K, N. dtype: of x and y.
    """

    rows: int
    depth: int
    columns: int
    nonzeros: int
    dtype: str = "f32"


@dataclass(frozen=True)
class CpuLimits:
    """Nanoseconds, for vectors of a cache line (16 columns of f32); bytes of caches.

    The defaults were fitted to kernels timed on one core of an AMD EPYC of the Zen 5 generation at
    4.2 GHz (benchmarks/results/cpu.md). Other processors have other numbers, but the same order
    among schedules: what is far from L1 costs more, and so does what is read twice.

    group, single: each nonzero read in a group of four, or alone.
    near, far:     each multiply-add of a vector, its x in L1, or brought from L2 meanwhile.
    straddle:      factor on both where vectors lie across two cache lines.
    conflict:      each nonzero whose row of x competes with others for few places in L1, because
                   they lie a multiple of a large power of two apart.
    row:           each row of a tile.
    copy:          each vector of x that is copied.
    memory:        each cache line of x and y that does not stay in L2, once per call.
    dense:         each multiply-add of a vector in a dense product of a good library (OpenBLAS).
    call:          a call from Python. thread: handing work to other threads and waiting for them.
    simd:          the registers.
    """

    group: float = 0.055
    single: float = 0.078
    near: float = 0.233
    far: float = 0.304
    straddle: float = 1.43
    conflict: float = 1.25
    row: float = 1.46
    copy: float = 0.52
    memory: float = 0.244
    dense: float = 0.13
    call: float = 1000.0
    thread: float = 10000.0
    l1_bytes: int = 48 * 1024
    l1_ways: int = 12
    l2_bytes: int = 1024 * 1024
    simd: Simd = AVX512


_SHORTER = 1.4
"""Factor on multiply-adds and copies for each halving of registers (measured on the same processor
without AVX-512)."""


_OF_ONE_COLUMN, _COLUMNS_OF_A_VECTOR = 0.2, 8
"""Of a dense product's multiply-adds of a vector: what it takes for one column; up to how many
columns it grows. numpy with OpenBLAS: the first on the same processor (benchmarks/results/cpu.md,
suite `tiny`), the second exploratory, on an Intel Xeon."""


@functools.cache
def host_limits() -> CpuLimits:
    """The defaults with the registers of the processor that this runs on."""
    known, simd = CpuLimits(), host_simd()
    factor = _SHORTER ** math.log2(known.simd.columns / simd.columns)
    return replace(
        known,
        near=known.near * factor,
        copy=known.copy * factor,
        dense=known.dense * known.simd.columns / simd.columns,
        simd=simd,
    )


def predict_cpu(facts: CpuFacts, schedule: Schedule, limits: CpuLimits | None = None) -> float:
    """Seconds that one call takes on one thread, x and y warm in the last cache.

    limits: None: the host's.
    Only for `lowering = "data"`: ScheduleError for code, whose time on a CPU is not modelled.
    """
    if schedule.lowering != "data":
        raise ScheduleError('cost model: on a CPU only lowering = "data" is modelled')
    known = host_limits() if limits is None else limits
    tiles = column_tiles(facts.columns, schedule.columns_per_thread)
    kinds = [(tiles.whole, tiles.width), (int(tiles.tail > 0), tiles.tail)]
    work = sum(
        count * _tile(facts, schedule, known, tiles, width) for count, width in kinds if count
    )
    lines = (facts.rows + facts.depth) * facts.columns * _bytes(facts) / 64
    beyond = max(0.0, lines - known.l2_bytes / 64)
    return (known.call + work + known.memory * beyond) * _NS


def predict_dense_cpu(facts: CpuFacts) -> float:
    """Seconds that a dense product in f32 takes on one thread of the same processor.

    Of few columns libraries multiply along the rows of the weight, for which they then wait.
    """
    limits, size = host_limits(), facts.rows * facts.depth
    share = min(1.0, max(_OF_ONE_COLUMN, facts.columns / _COLUMNS_OF_A_VECTOR))
    beyond = max(0.0, size * 4 - limits.l2_bytes) / 64
    work = size * vectors(facts.columns) * limits.dense * share
    return (limits.call + work + limits.memory * beyond) * _NS


def _tile(
    facts: CpuFacts, schedule: Schedule, limits: CpuLimits, tiles: ColumnTiles, width: int
) -> float:
    """Nanoseconds for one tile of that width."""
    copied = schedule.staging == "copy"
    count = sum(vectors(size) for _, size in pieces(width))
    grouped = reads_groups(tiles.width, facts.rows, facts.nonzeros)
    factor = limits.straddle if not copied and _straddles(facts) and width > 1 else 1.0
    compute = (limits.group if grouped else limits.single) + limits.near * factor * count
    fetch = _fetch(facts, limits, tiles, width, copied)
    per_nonzero = (compute**3 + fetch**3) ** (1 / 3)
    copy = facts.depth * count * limits.copy if copied else 0.0
    return facts.nonzeros * per_nonzero + facts.rows * limits.row + copy


def _fetch(
    facts: CpuFacts, limits: CpuLimits, tiles: ColumnTiles, width: int, copied: bool
) -> float:
    """Nanoseconds to bring the `count` vectors of a row of x to L1, on average over rows that are
    there already and those that are not.
    """
    count = vectors(width)
    if not copied and _competes(facts, limits, width):
        return limits.conflict + count * limits.far
    stride = tiles.row_stride * 4 if copied else width * _bytes(facts)
    missing = max(0.0, 1 - limits.l1_bytes / (facts.depth * stride))
    return missing * count * limits.far


def _bytes(facts: CpuFacts) -> int:
    return ELEMENT_BYTES[facts.dtype]


def _straddles(facts: CpuFacts) -> bool:
    return facts.columns * _bytes(facts) % 64 != 0


def _competes(facts: CpuFacts, limits: CpuLimits, width: int) -> bool:
    """Whether the rows of a tile of x, where they lie, need more of L1 than they can get: rows some
    lines apart use only every so many of its sets.
    """
    sets = limits.l1_bytes // 64 // limits.l1_ways
    stride = facts.columns * _bytes(facts)
    if stride % 64:
        return False
    apart = math.gcd(stride // 64, sets)
    count = vectors(width)
    return count < apart and facts.depth > sets // apart * limits.l1_ways


def predict_cpu_code(facts: CpuFacts, limits: CpuLimits | None = None) -> float:
    """Seconds, a lower bound for the matrix as code: as if every x came from L1."""
    limits = limits or host_limits()
    return (limits.call + facts.nonzeros * vectors(facts.columns) * limits.near) * _NS
