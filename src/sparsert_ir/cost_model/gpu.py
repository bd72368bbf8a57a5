"""How long kernels will take, without running any: by what limits them on the way.

The terms are limits seen on an H200: what multiprocessors can issue when warps share fetched
instructions, how fast x and code come into them, what memory moves, and the latency of one pass
through the code. The constants were fitted to 480 kernels of 106 products measured there during
development: on those same kernels the error is 31% (root mean square), and the schedule that is
predicted to be the fastest takes 15% longer than the fastest (geometric mean of the 27 products
with three or more). Those of matrices as data were fitted to 332 kernels of 36 products, most of
them measured on an H100 with f16 and N up to 16: 16% and 14%; then those of the gathers again, with
tensor cores and larger N, to the 110 products of h200-data-lowering (as it is now, and N = 8 and 16
as they were in the lanes), -wide and -uneven, and to two in f32 at N = 4096: 11%. Other GPUs are
scaled by their data sheets and were not measured. Good for comparing schedules and for "does sparse
pay?"; never a promise.
"""

import math
from dataclasses import dataclass

from sparsert_ir.cost_model.limits import LAUNCH_US, GpuLimits, floor_us
from sparsert_ir.cost_model.panel_work import PanelWork, Pattern
from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.gpu_facts import INSTRUCTION_BYTES, WARP
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule

DENSE_MODES = {"f32": ("f32", "tf32"), "f16": ("f16",), "bf16": ("bf16",)}
"""Math modes in which a library multiplies dense matrices of an element type."""

SERIAL_US = 0.5
"""What a launch costs that does not overlap with the kernel before it."""
_PEAK_ISSUE = 4.0
_WARPS_FOR_HALF_ISSUE = 7.5
_DRIFTING_EXPONENT = 0.3
"""More warps than those in step help, but each group of them fetches for itself."""
_INTAKE_BYTES_PER_CLOCK = 31.0
_SHARING_EXPONENT = 0.5
_CLOCKS_PER_LOAD = 1.6
"""Of the L1 cache, for one load of a warp."""
_CLOCKS_PER_COLD_INSTRUCTION = 4.1
LOAD_CLOCKS, _REDUCTION_CLOCKS = 930.0, 1200.0
_CLUSTER_CLOCKS = 900.0
"""Of a cluster: its blocks meet, then wait for the sums that they send each other. An estimate."""
_FETCHED_BYTES_PER_CLOCK = 14.5
"""Code that a multiprocessor has not run yet."""
_CACHED_CODE_BYTES, _US_PER_COLD_MIB = 1.9 * 2**20, 4.0
"""Code that caches near the multiprocessors hold together; each further MiB that is run once or
twice costs so much."""
_REGISTERS, _REGISTER_FILE, _MOST_WARPS = 255, 65536, 64
_SPILL_PENALTY = 4.0
_PIECE_BYTES = 16
_DATA_CLOCKS, _STAGING_ROUND_CLOCKS = 2850.0, 780.0
_CLOCKS_PER_PIECE = 0.15
_CLOCKS_PER_GATHER, _CLOCKS_PER_GATHERED_BYTE = 3.0, 0.3
_STREAMED_BYTES_PER_CLOCK = 64.0
"""Of a multiprocessor: what warps gather from, they also read the stream through."""
_CLOCKS_PER_MMA_GATHER = 6.0
_FILLED_UP = 1.08
_STREAM_EFFICIENCY = 0.83
"""Where the matrix is data: a multiprocessor stages x piece by piece, then its warps gather from it
what the nonzeros that stream from memory ask for."""


@dataclass(frozen=True)
class Product:
    """What is computed: M x K (shape) with so many nonzeros, times K x `columns`.

    pattern: where the nonzeros are; None: they may be anywhere.
    """

    shape: tuple[int, int]
    nonzeros: int
    columns: int
    dtype: str
    pattern: Pattern | None = None

    @classmethod
    def of(cls, matrix: SparseMatrix, columns: int, dtype: str) -> "Product":
        return cls(matrix.shape, matrix.nonzeros, columns, dtype, Pattern(matrix))

    @property
    def density(self) -> float:
        return self.nonzeros / (self.shape[0] * self.shape[1])

    def touched_columns(self, rows: int) -> float:
        """Columns with a nonzero in any of `rows` rows, if nonzeros fall anywhere."""
        return self.shape[1] * (1.0 - (1.0 - self.density) ** rows)

    def panel_work(self, schedule: Schedule) -> PanelWork:
        """Of the panels that a schedule makes; even ones if nonzeros fall anywhere."""
        if self.pattern is not None:
            return self.pattern.work(schedule)
        return PanelWork(self.touched_columns(schedule.rows_per_panel), 1.0)


def predict_us(schedule: Schedule, product: Product, limits: GpuLimits) -> float:
    """Microseconds per launch of a kernel with this schedule."""
    if schedule.lowering == "data":
        return _predict_data_us(schedule, product, limits)
    least = floor_us(limits, product.shape, product.nonzeros, product.columns, product.dtype)
    work = _Work(schedule, product, limits)
    throughput = max(work.issue_us, work.intake_us, work.loads_us, least - LAUNCH_US)
    start = 0.0 if schedule.launch == "overlapped" else SERIAL_US
    time = start + throughput * work.imbalance + work.latency_us + work.fetch_us
    return max(least, time * (_SPILL_PENALTY if work.registers > _REGISTERS else 1.0))


def time_parts(schedule: Schedule, product: Product, limits: GpuLimits) -> dict[str, float]:
    """Microseconds of each limit that `predict_us` weighs, by name, in the order of the model.

    Of code: the largest of the first three counts, times the imbalance of the blocks; the others
    are added. Of data: the larger of the first two counts; the others are added.
    """
    if schedule.lowering == "data":
        return _data_parts(schedule, product, limits)
    work = _Work(schedule, product, limits)
    return {
        "issue of instructions": work.issue_us,
        "x into the multiprocessors": work.intake_us,
        "loads through L1": work.loads_us,
        "code that is new": work.fetch_us,
        "latency": work.latency_us,
    }


def issue_rate(warps_in_step: float) -> float:
    """Warp instructions per clock of one multiprocessor when so many warps share each fetched one.

    Each warp that runs code of its own waits for its instructions to be fetched; four are issued
    per clock at most.
    """
    return _PEAK_ISSUE * warps_in_step / (warps_in_step + _WARPS_FOR_HALF_ISSUE)


def predict_dense_us(product: Product, mode: str, limits: GpuLimits) -> float:
    """Microseconds of the same product by a dense library in a math mode.

    A start that grows with K (one block walks all of K), then the peak at the part of it that
    products of this size reach; fitted to cuBLAS on an H200. Infinite for a mode the GPU lacks.
    """
    peak = limits.dense_flops.get(mode)
    if peak is None:
        return math.inf
    start, per_column, longest = {
        "f32": (3.3, 0.012, 330),
        "tf32": (2.9, 0.007, 520),
        "f16": (2.8, 0.005, 520),
        "bf16": (2.8, 0.005, 520),
    }[mode]
    rows, depth = product.shape
    operations = 2.0 * rows * depth * product.columns
    reached = 0.75 if mode == "f32" else 0.45 if operations < 2e10 else 0.75
    moved = (rows * depth + (rows + depth) * product.columns) * ELEMENT_BYTES[product.dtype]
    busy = max(operations / (reached * peak) * 1e6, limits.bytes_us(moved))
    return (start + per_column * min(depth, longest)) * 1.98 / limits.clock_ghz + busy


def _predict_data_us(schedule: Schedule, product: Product, limits: GpuLimits) -> float:
    least = floor_us(limits, product.shape, product.nonzeros, product.columns, product.dtype)
    start = 0.0 if schedule.launch == "overlapped" else SERIAL_US
    stream, gathers, *others = _data_parts(schedule, product, limits).values()
    return max(start + max(stream, gathers) + sum(others), least)


def _data_parts(schedule: Schedule, product: Product, limits: GpuLimits) -> dict[str, float]:
    """Each block stages its columns of x, then its warps read nonzeros and gather from there."""
    element = ELEMENT_BYTES[product.dtype]
    rows, depth = product.shape
    width, groups = schedule.columns_per_thread, schedule.column_groups
    tiles = math.ceil(product.columns / (width * groups))
    warps = math.ceil(rows / schedule.rows_per_panel)
    blocks = tiles * math.ceil(warps * WARP / schedule.threads / schedule.panels_per_warp)
    busiest = math.ceil(blocks / limits.multiprocessors)
    clocks_per_us = limits.clock_ghz * 1e3
    piece = math.gcd(product.columns * element, width * groups * element, _PIECE_BYTES)
    pieces = depth * width * groups * element / piece
    rounds = math.ceil(pieces / schedule.threads / min(32, 128 // piece))
    staged = busiest * pieces * max(_CLOCKS_PER_PIECE, piece / _INTAKE_BYTES_PER_CLOCK)
    stream = product.nonzeros * (element + 2) * _FILLED_UP
    share = busiest / blocks
    gathers = product.nonzeros * tiles * groups / WARP * share
    gather_clocks = _CLOCKS_PER_GATHER + _CLOCKS_PER_GATHERED_BYTE * width * element
    if schedule.instruction == "mma":
        gather_clocks = _CLOCKS_PER_MMA_GATHER
    gathering = gathers * gather_clocks + stream * tiles * share / _STREAMED_BYTES_PER_CLOCK
    return {
        "nonzeros from memory": limits.bytes_us(stream) / _STREAM_EFFICIENCY,
        "gathers of x": gathering / clocks_per_us,
        "x into shared memory": staged / clocks_per_us,
        "latency": (_DATA_CLOCKS + rounds * _STAGING_ROUND_CLOCKS) / clocks_per_us,
    }


@dataclass(frozen=True)
class _Work:
    """The parts of a kernel's time; "warps" are those of one K group."""

    schedule: Schedule
    product: Product
    limits: GpuLimits

    @property
    def _panels(self) -> int:
        return math.ceil(self.product.shape[0] / self.schedule.rows_per_panel)

    @property
    def _tiles(self) -> int:
        across = self.schedule.threads * self.schedule.columns_per_thread
        return math.ceil(self.product.columns / across)

    @property
    def _column_blocks(self) -> int:
        return math.ceil(self._tiles / self.schedule.column_tiles)

    @property
    def _blocks(self) -> int:
        across = math.ceil(self._panels / self.schedule.panels_per_block) * self._column_blocks
        return across * self.schedule.cluster

    @property
    def _warps(self) -> float:
        """That pass through a panel once each, all panels together."""
        return self._tiles * self._panels * max(1.0, self.schedule.threads / WARP)

    @property
    def _touched(self) -> float:
        return self.product.panel_work(self.schedule).columns

    @property
    def _instructions(self) -> float:
        """Of one thread for one panel, all K groups together."""
        schedule, width = self.schedule, self.schedule.columns_per_thread
        half = ELEMENT_BYTES[self.product.dtype] == 2
        packed = half and schedule.accumulation != "f32"
        multiply_adds = self.product.nonzeros / self._panels * width * (0.5 if packed else 1.0)
        conversions = self._touched * width if half and (not packed or self._columns_alone) else 0.0
        if half and schedule.accumulation == "folded":
            conversions = 2.0 * multiply_adds / schedule.fold_length
        rounds = 1 if schedule.k_groups == 1 else 2 * schedule.k_parts
        rounds += 2 * schedule.cluster if schedule.cluster > 1 else 0
        sums = schedule.rows_per_panel * rounds
        return multiply_adds + self._loads + conversions + sums

    @property
    def registers(self) -> float:
        """Per thread, roughly."""
        schedule = self.schedule
        wide = 2 if self.product.dtype == "f16" and schedule.accumulation == "plain" else 1
        return schedule.rows_per_panel * schedule.columns_per_thread / wide + 20

    @property
    def _clocks_per_us(self) -> float:
        return self.limits.clock_ghz * 1e3

    @property
    def imbalance(self) -> float:
        """How much longer the busiest multiprocessor works than the average one.

        One block has the busiest panel; the others that follow it there are of all kinds.
        """
        waves = self._blocks / self.limits.multiprocessors
        busiest = self.product.panel_work(self.schedule).busiest - 1.0
        return math.ceil(waves) / waves * (1.0 + busiest / math.ceil(waves))

    @property
    def issue_us(self) -> float:
        """Instructions over what is issued when so many warps share each fetched one."""
        neighbours = self._column_blocks if self.schedule.block_order == "columns" else 0.5
        resident = max(1.0, self._blocks / self.limits.multiprocessors)
        in_step = self.schedule.threads / WARP * min(4.0, neighbours, resident)
        rate = issue_rate(in_step)
        rate *= min(4, self.schedule.k_groups) ** _DRIFTING_EXPONENT
        total = self._warps * self._instructions
        per_us = self.limits.multiprocessors * self._clocks_per_us * min(rate, _PEAK_ISSUE)
        return total / per_us

    @property
    def intake_us(self) -> float:
        """x into the multiprocessors: every panel takes in the columns that it touches.

        Panels side by side in a block find part of each other's in the L1 cache; where x is staged,
        each element is taken in once for all of them.
        """
        schedule, columns = self.schedule, self.product.columns
        side = schedule.panels_per_block
        elements = self._panels * self._touched * columns / side**_SHARING_EXPONENT
        if schedule.staging != "none":
            together = self.product.touched_columns(side * schedule.rows_per_panel)
            elements = math.ceil(self._panels / side) * together * columns
        total = elements * ELEMENT_BYTES[self.product.dtype]
        rate = self.limits.multiprocessors * _INTAKE_BYTES_PER_CLOCK * self._clocks_per_us
        return total / rate

    @property
    def _loads(self) -> float:
        """Of one thread for one panel, all K groups together."""
        element = ELEMENT_BYTES[self.product.dtype]
        width = self.schedule.columns_per_thread
        if self._columns_alone:
            return self._touched * width
        return self._touched * math.ceil(width * element / 16)

    @property
    def _columns_alone(self) -> bool:
        """Whether a thread's columns of x are loaded one by one: 16 bits in rows of odd length."""
        odd = self.product.columns % 2 == 1
        return (
            ELEMENT_BYTES[self.product.dtype] == 2 and self.schedule.columns_per_thread > 1 and odd
        )

    @property
    def loads_us(self) -> float:
        """Loads through the L1 caches."""
        per_us = self.limits.multiprocessors * self._clocks_per_us
        return self._warps * self._loads * _CLOCKS_PER_LOAD / per_us

    @property
    def fetch_us(self) -> float:
        """Code that is new to a multiprocessor, and what the caches of code cannot hold."""
        code = INSTRUCTION_BYTES * self._instructions
        cluster = self.schedule.cluster
        own = code / cluster * max(1.0, self._panels * cluster / self.limits.multiprocessors)
        beyond = max(0.0, code * self._panels - _CACHED_CODE_BYTES) / 2**20
        cold = beyond * _US_PER_COLD_MIB if self._tiles <= 2 else 0.0
        return own / (_FETCHED_BYTES_PER_CLOCK * self._clocks_per_us) + cold

    @property
    def latency_us(self) -> float:
        """One warp's way through its piece of the code, as often as rounds of warps follow."""
        schedule = self.schedule
        groups = schedule.k_parts
        fitting = min(_MOST_WARPS, _REGISTER_FILE / WARP / self.registers)
        rounds = max(1.0, self._warps * groups / self.limits.multiprocessors / fitting)
        passes = self._instructions / groups * _CLOCKS_PER_COLD_INSTRUCTION
        clocks = passes + LOAD_CLOCKS
        clocks += _REDUCTION_CLOCKS if schedule.k_groups > 1 else 0.0
        clocks += _CLUSTER_CLOCKS if schedule.cluster > 1 else 0.0
        return clocks * min(rounds, 2.0) / self._clocks_per_us
