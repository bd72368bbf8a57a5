"""How long kernels will take, without running any: by what limits them on the way.

The terms and their constants come from kernels measured on an H200 (docs/performance.md): what
multiprocessors can issue when warps share fetched instructions, how fast x comes into them, what
memory moves, and the latency of one pass through the code. Good for comparing schedules and for
"does sparse pay?", to within about a third; never a promise.
"""

import math
from dataclasses import dataclass

from sparsert_ir.limits import ELEMENT_BYTES, LAUNCH_US, GpuLimits, floor_us
from sparsert_ir.schedule import Schedule

DENSE_MODES = {"f32": ("f32", "tf32"), "f16": ("f16",)}
"""Math modes in which a library multiplies dense matrices of an element type."""

_WARP = 32
_START_US = 0.2
"""Beyond an empty kernel: the first instructions and the last stores."""
_PEAK_ISSUE = 4.0
_WARPS_FOR_HALF_ISSUE = 4.0
_INTAKE_BYTES_PER_CLOCK = 40.0
_CLOCKS_PER_COLD_INSTRUCTION = 3.0
_LOAD_CLOCKS, _REDUCTION_CLOCKS = 800.0, 300.0
_REGISTERS, _REGISTER_FILE, _MOST_WARPS = 255, 65536, 64
_SPILL_PENALTY = 4.0
_GATHERS_PER_CLOCK = 10.0
"""Elements of x that one multiprocessor reads by index, where the matrix is data."""
_STREAM_EFFICIENCY = 0.55


@dataclass(frozen=True)
class Product:
    """What is computed: M x K (shape) with so many nonzeros, times K x `columns`."""

    shape: tuple[int, int]
    nonzeros: int
    columns: int
    dtype: str

    @property
    def density(self) -> float:
        return self.nonzeros / (self.shape[0] * self.shape[1])

    def touched_columns(self, rows: int) -> float:
        """Columns with a nonzero in any of `rows` rows, if nonzeros fall anywhere."""
        return self.shape[1] * (1.0 - (1.0 - self.density) ** rows)


def predict_us(schedule: Schedule, product: Product, limits: GpuLimits) -> float:
    """Microseconds per launch of a kernel with this schedule."""
    if schedule.lowering == "data":
        return _predict_data_us(product, limits)
    least = floor_us(limits, product.shape, product.nonzeros, product.columns, product.dtype)
    work = _Work(schedule, product, limits)
    busy = max(work.issue_us, work.intake_us, least - LAUNCH_US) * work.imbalance
    time = LAUNCH_US + _START_US + busy + work.latency_us
    return time * (_SPILL_PENALTY if work.registers > _REGISTERS else 1.0)


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
    }[mode]
    rows, depth = product.shape
    operations = 2.0 * rows * depth * product.columns
    reached = 0.75 if mode == "f32" else 0.45 if operations < 2e10 else 0.75
    moved = (rows * depth + (rows + depth) * product.columns) * ELEMENT_BYTES[product.dtype]
    busy = max(operations / (reached * peak) * 1e6, limits.bytes_us(moved))
    return (start + per_column * min(depth, longest)) * 1.98 / limits.clock_ghz + busy


def _predict_data_us(product: Product, limits: GpuLimits) -> float:
    entry = 4 if product.dtype == "f16" else 8
    stream = limits.bytes_us(product.nonzeros * entry) / _STREAM_EFFICIENCY
    gathers = product.nonzeros * product.columns / _GATHERS_PER_CLOCK
    gather = gathers / (limits.multiprocessors * limits.clock_ghz * 1e3)
    least = floor_us(limits, product.shape, product.nonzeros, product.columns, product.dtype)
    return _START_US + max(LAUNCH_US + stream + gather, least)


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
        return math.ceil(self._panels / self.schedule.panels_per_block) * self._column_blocks

    @property
    def _warps(self) -> float:
        """That pass through a panel once each, all panels together."""
        return self._tiles * self._panels * max(1.0, self.schedule.threads / _WARP)

    @property
    def _touched(self) -> float:
        return self.product.touched_columns(self.schedule.rows_per_panel)

    @property
    def _instructions(self) -> float:
        """Of one thread for one panel, all K groups together."""
        schedule, width = self.schedule, self.schedule.columns_per_thread
        half = self.product.dtype == "f16"
        packed = half and schedule.accumulation != "f32"
        multiply_adds = self.product.nonzeros / self._panels * width * (0.5 if packed else 1.0)
        loads = self._touched * math.ceil(width * (2 if half else 4) / 16)
        conversions = self._touched * width if half and not packed else 0.0
        if half and schedule.accumulation == "folded":
            conversions = 2.0 * multiply_adds / schedule.fold_length
        sums = schedule.rows_per_panel * (1 if schedule.k_groups == 1 else 2 * schedule.k_groups)
        return multiply_adds + loads + conversions + sums

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
        """How much longer the busiest multiprocessor works than the average one."""
        waves = self._blocks / self.limits.multiprocessors
        return math.ceil(waves) / waves

    @property
    def issue_us(self) -> float:
        """Instructions over what is issued when so many warps share each fetched one."""
        neighbours = self._column_blocks if self.schedule.block_order == "columns" else 1
        resident = max(1.0, self._blocks / self.limits.multiprocessors)
        in_step = self.schedule.threads / _WARP * min(4.0, neighbours, resident)
        rate = _PEAK_ISSUE * in_step / (in_step + _WARPS_FOR_HALF_ISSUE)
        rate *= min(4, self.schedule.k_groups * self.schedule.panels_per_block) ** 0.25
        total = self._warps * self._instructions
        per_us = self.limits.multiprocessors * self._clocks_per_us * min(rate, _PEAK_ISSUE)
        return total / per_us

    @property
    def intake_us(self) -> float:
        """x into the multiprocessors: every panel takes in the columns that it touches.

        Panels side by side in a block find part of each other's in the L1 cache; the warps drift
        apart, so it counts as half way between all and nothing.
        """
        side = self.schedule.panels_per_block
        shared = self.product.touched_columns(self.schedule.rows_per_panel * side) / side
        elements = self._panels * math.sqrt(shared * self._touched) * self.product.columns
        total = elements * ELEMENT_BYTES[self.product.dtype]
        rate = self.limits.multiprocessors * _INTAKE_BYTES_PER_CLOCK * self._clocks_per_us
        return total / rate

    @property
    def latency_us(self) -> float:
        """One warp's way through its piece of the code, as often as rounds of warps follow."""
        schedule = self.schedule
        groups = schedule.k_groups
        fitting = min(_MOST_WARPS, _REGISTER_FILE / _WARP / self.registers)
        rounds = max(1.0, self._warps * groups / self.limits.multiprocessors / fitting)
        passes = self._instructions / groups * _CLOCKS_PER_COLD_INSTRUCTION
        clocks = passes + _LOAD_CLOCKS + (_REDUCTION_CLOCKS if groups > 1 else 0.0)
        return clocks * min(rounds, 2.0) / self._clocks_per_us
