"""How many times faster sparse is than dense, against sparsity."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sparsert_ir.cost_model.cpu import CpuFacts, predict_cpu, predict_dense_cpu
from sparsert_ir.cost_model.gpu import DENSE_MODES, Product, predict_dense_us, predict_us
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.errors import ArgumentError
from sparsert_ir.schedules.cpu import best_cpu_schedule
from sparsert_ir.schedules.default import choose_lowering, default_gpu_schedule
from sparsert_ir.viz.canvas import (
    COLOURS,
    INK,
    QUIET,
    Axes,
    figure_style,
    new_figure,
    percent,
    plain_numbers,
)
from sparsert_ir.viz.measured import Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPARSITIES = tuple(float(one) for one in np.round(np.arange(0.5, 0.991, 0.01), 2))


def predicted_speedups(
    shape: tuple[int, int], n: int, dtype: str, target: str, sparsities: Sequence[float]
) -> dict[str, list[float]]:
    """Dense time over sparse time for each math mode of the dense library that the target has.

    target: an architecture, or "cpu" (one thread, f32 dense). The sparse kernel has the lowering
            and the schedule that `sparsert_ir.compile` chooses.
    """
    size = shape[0] * shape[1]
    counts = [max(1, round((1.0 - sparsity) * size)) for sparsity in sparsities]
    if target == "cpu":
        return {"f32": [_cpu_speedup(shape, n, dtype, count) for count in counts]}
    limits = limits_of(target)
    sparse: list[float] = []
    for count in counts:
        lowering = choose_lowering(shape, count, n).lowering
        schedule = default_gpu_schedule(shape, n, dtype, count, lowering, target)
        sparse.append(predict_us(schedule, Product(shape, count, n, dtype), limits))
    dense = {
        mode: predict_dense_us(Product(shape, size, n, dtype), mode, limits)
        for mode in DENSE_MODES[dtype]
    }
    return {
        mode: [time / one for one in sparse] for mode, time in dense.items() if math.isfinite(time)
    }


def _cpu_speedup(shape: tuple[int, int], n: int, dtype: str, count: int) -> float:
    facts = CpuFacts(*shape, n, count, dtype)
    return predict_dense_cpu(facts) / predict_cpu(facts, best_cpu_schedule(facts))


def speedup_figure(
    shape: tuple[int, int],
    n: int,
    dtype: str,
    target: str,
    *,
    sparsity: float | None = None,
    measured: Sequence[Measured] = (),
) -> "Figure":
    """Predicted speed-up over dense, with measured ones of the same shape, N and type on it.

    sparsity: of a matrix to mark. Raises ArgumentError for an n below 1 or an unknown target.
    """
    if n < 1:
        raise ArgumentError(f"n: expected 1 or more, got {n}")
    curves = predicted_speedups(shape, n, dtype, target, SPARSITIES)
    same = [one for one in measured if (one.shape, one.n, one.dtype) == (shape, n, dtype)]
    with figure_style():
        figure = new_figure(7.6, 3.8)
        axes: Axes = figure.subplots()
        axes.set_yscale("log")
        library = "dense on one thread" if target == "cpu" else "cuBLAS"
        for (mode, ratios), colour in zip(curves.items(), COLOURS, strict=False):
            axes.plot(SPARSITIES, ratios, color=colour, label=f"over {library} {mode}, predicted")
            _measured_points(axes, same, f"cublas {mode}", colour)
        axes.axhline(1.0, color=INK, linewidth=0.8)
        if sparsity is not None:
            axes.axvline(sparsity, color=QUIET, linewidth=0.8, linestyle="--")
            axes.annotate(
                f"this matrix: {sparsity:.1%}",
                (sparsity, 0.02),
                xycoords=("data", "axes fraction"),
                xytext=(-4, 0),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color=QUIET,
            )
        axes.set_title(
            f"{shape[0]} x {shape[1]}, N = {n}, {dtype}, {target}: lines are predicted by the cost"
            " model"
        )
        axes.set_xlabel("share of zeros")
        axes.set_ylabel("times faster than dense")
        axes.xaxis.set_major_formatter(percent)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.8), max(high, 2.5))
        plain_numbers(axes.yaxis)
        axes.grid(visible=True, color="#e8eaee", linewidth=0.6)
        axes.legend(loc="upper left")
    return figure


def _measured_points(axes: Axes, measured: Sequence[Measured], peer: str, colour: str) -> None:
    points = [(one.sparsity, one.peers[peer] / one.us) for one in measured if peer in one.peers]
    if points:
        across, up = zip(*points, strict=True)
        gpu = measured[0].gpu
        axes.plot(across, up, "o", color=colour, label=f"over {peer}, measured ({gpu})")
