"""What limits kernels: multiply-adds, bytes, and the fetching of instructions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparsert_ir.cost_model.gpu import Product, issue_rate, predict_us
from sparsert_ir.cost_model.limits import GpuLimits, limits_of
from sparsert_ir.element_types import ELEMENT_BYTES
from sparsert_ir.errors import ArgumentError
from sparsert_ir.schedule import Schedule
from sparsert_ir.viz.canvas import (
    COLOURS,
    INK,
    Axes,
    figure_style,
    label,
    new_figure,
    plain_numbers,
)
from sparsert_ir.viz.measured import Measured
from sparsert_ir.viz.names import write_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WARPS_IN_STEP = (1, 4, 16)
"""For which the limit of instruction fetch is drawn."""
_LANES = 32
_MOST_NAMED = 12
"""Points with their names beside them; more would hide each other."""
_SPREAD = 4.0
"""How far, as a factor, lines go beyond the points."""


@dataclass(frozen=True)
class Point:
    """A kernel: what it computes, and its time in microseconds, measured or predicted."""

    name: str
    product: Product
    us: float
    measured: bool

    @property
    def intensity(self) -> float:
        """Multiply-adds per byte of x and y, each moved once."""
        moved = sum(self.product.shape) * self.product.columns * ELEMENT_BYTES[self.product.dtype]
        return self.product.nonzeros * self.product.columns / moved

    @property
    def rate(self) -> float:
        """Multiply-adds per microsecond."""
        return self.product.nonzeros * self.product.columns / self.us

    @classmethod
    def of(cls, measured: Measured) -> "Point":
        product = Product(measured.shape, measured.nonzeros, measured.n, measured.dtype)
        # What comes before names the suite, which all have in common.
        name = "/".join(measured.label.split("/")[-2:])
        return cls(name, product, measured.us, measured=True)


def predicted_point(name: str, product: Product, schedule: Schedule, architecture: str) -> Point:
    """A kernel that nobody has run yet."""
    us = predict_us(schedule, product, limits_of(architecture))
    return Point(name, product, us, measured=False)


def roofs(limits: GpuLimits, dtype: str) -> dict[str, float]:
    """Multiply-adds per microsecond that a GPU reaches at most, whatever the bytes.

    "multiply-adds": no lane is ever idle. "instruction fetch, W warps in step": as many warp
    instructions as are issued when W warps share each fetched one (`prediction.issue_rate`), and
    each is a multiply-add.
    """
    peak = 1.0 / limits.multiply_add_us(1, dtype)
    per_instruction = _LANES * (2 if dtype == "f16" else 1)
    per_us = limits.multiprocessors * limits.clock_ghz * 1e3 * per_instruction
    fetch = {
        f"instruction fetch, {warps} warp{'s' if warps > 1 else ''} in step": min(
            peak, issue_rate(warps) * per_us
        )
        for warps in WARPS_IN_STEP
    }
    return {"multiply-adds": peak, **fetch}


def roofline_figure(points: Sequence[Point], architecture: str, dtype: str = "f32") -> "Figure":
    """Rates of kernels against multiply-adds per byte, under what the GPU can do.

    points: those of another element type are left out; ArgumentError if none is left, and for an
            unknown architecture ("cpu" is none).
    The line of bytes counts x and y once each, from and to device memory: small arrays that stay in
    the L2 cache can lie above it. The lines of instruction fetch are the cost model's, for kernels
    whose matrix is code and without K groups. A launch costs about 0.8 us, which keeps small
    kernels far below all lines.
    """
    limits = limits_of(architecture)
    shown = [point for point in points if point.product.dtype == dtype]
    if not shown:
        raise ArgumentError(f"roofline: expected at least one kernel in {dtype}, got none")
    with figure_style():
        figure = new_figure(7.6, 5.0)
        axes: Axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        _lines(axes, shown, limits, dtype)
        for is_measured, marker, face in ((True, "o", COLOURS[1]), (False, "D", "white")):
            some = [point for point in shown if point.measured is is_measured]
            if some:
                axes.plot(
                    [point.intensity for point in some],
                    [point.rate / 1e6 for point in some],
                    marker,
                    markersize=6,
                    markerfacecolor=face,
                    markeredgecolor=COLOURS[1],
                    label="measured" if is_measured else "predicted by the cost model",
                )
        axes.set_title(f"{dtype} on {limits.name} ({architecture}) at {limits.clock_ghz:g} GHz")
        axes.set_xlabel("multiply-adds per byte of x and y")
        axes.set_ylabel("10¹² multiply-adds per second")
        plain_numbers(axes.xaxis)
        plain_numbers(axes.yaxis)
        figure.legend(loc="outside lower center", ncols=3)
        if len(shown) <= _MOST_NAMED:
            names = [(label(one.name, 32), one.intensity, one.rate / 1e6) for one in shown]
            write_names(figure, axes, names)
    return figure


def _lines(axes: Axes, points: Sequence[Point], limits: GpuLimits, dtype: str) -> None:
    per_byte = limits.bytes_per_second / 1e6
    heights = roofs(limits, dtype)
    peak = heights["multiply-adds"]
    least = min(point.intensity for point in points) / _SPREAD
    most = max(max(point.intensity for point in points), peak / per_byte) * _SPREAD
    ridge = peak / per_byte
    axes.plot(
        [least, ridge], [least * per_byte / 1e6, peak / 1e6], color=INK, label="bytes of x and y"
    )
    axes.plot([ridge, most], [peak / 1e6] * 2, color=COLOURS[0], label="multiply-adds")
    for (name, height), dashes in zip(list(heights.items())[1:], (":", "-.", "--"), strict=True):
        begin = max(least, height / per_byte)
        axes.plot(
            [begin, most],
            [height / 1e6] * 2,
            color=COLOURS[2],
            linestyle=dashes,
            linewidth=1.2,
            label=name,
        )
    axes.set_xlim(least, most)
    axes.grid(visible=True, color="#e8eaee", linewidth=0.6)
