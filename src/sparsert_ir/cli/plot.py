"""plot: a picture of the pattern, its panels, the roofline or the speed-up (extra viz)."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsert_ir.cli.layers import add_matrix_arguments, read_matrix
from sparsert_ir.cli.report import Report, count

if TYPE_CHECKING:
    from sparsert_ir.matrix import SparseMatrix
    from sparsert_ir.schedule import Schedule

_DEFAULT_ARCHITECTURE = "sm_90"
_DEFAULT_N = 196


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_matrix_arguments(parser)
    parser.add_argument(
        "--kind", choices=["pattern", "panels", "roofline", "speedup"], default="pattern"
    )
    parser.add_argument(
        "-n", type=int, help=f"columns of x, which decide the schedule (default {_DEFAULT_N})"
    )
    parser.add_argument(
        "--target", default=_DEFAULT_ARCHITECTURE, help="cpu or an architecture (default sm_90)"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="JSON of benchmarks/spmm.py: measured points"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help=".svg or .png")


def run(options: argparse.Namespace) -> Report:
    from sparsert_ir.layer_arguments import check_columns
    from sparsert_ir.progress import waiting_bar
    from sparsert_ir.targets import target_of
    from sparsert_ir.viz.saving import format_of, save_figure

    format_of(options.output)
    options.target = target_of(options.target)
    options.n = _DEFAULT_N if options.n is None else options.n
    matrix = read_matrix(options)
    check_columns(matrix.shape, options.n)
    with waiting_bar("drawing"):
        save_figure(_figure(matrix, options), options.output)
    written = options.output.stat().st_size
    return Report(
        {"output": str(options.output), "bytes": written, "kind": options.kind},
        facts=[("written", f"{options.output} ({count(written)} bytes)")],
    )


def _figure(matrix: "SparseMatrix", options: argparse.Namespace) -> Any:
    from sparsert_ir.viz.measured import load_measured

    measured = [] if options.results is None else load_measured(options.results)
    title = f"{options.weights.name}: {matrix.shape[0]} x {matrix.shape[1]}"
    if options.kind == "roofline":
        from sparsert_ir.cost_model.gpu import Product
        from sparsert_ir.viz.roofline import Point, predicted_point, roofline_figure

        product = Product.of(matrix, options.n, options.dtype)
        name = f"{options.weights.name}, N = {options.n}"
        points = [] if options.target == "cpu" else [
            predicted_point(name, product, _schedule(matrix, options), options.target)
        ]  # fmt: skip
        points += [Point.of(one) for one in measured]
        return roofline_figure(points, options.target, options.dtype)
    if options.kind == "speedup":
        from sparsert_ir.viz.speedup import speedup_figure

        return speedup_figure(
            matrix.shape,
            options.n,
            options.dtype,
            options.target,
            sparsity=1.0 - matrix.density,
            measured=measured,
        )
    from sparsert_ir.layout.dealing import deal_rows
    from sparsert_ir.viz.panels import panels_figure
    from sparsert_ir.viz.pattern import pattern_figure

    schedule = _schedule(matrix, options)
    panels = deal_rows(matrix.row_offsets, matrix.column_indices, schedule)
    draw = pattern_figure if options.kind == "pattern" else panels_figure
    return draw(matrix, panels, title)


def _schedule(matrix: "SparseMatrix", options: argparse.Namespace) -> "Schedule":
    """What `compile` would choose."""
    from sparsert_ir.schedules.default import (
        choose_lowering,
        default_cpu_schedule,
        gpu_schedule_for,
    )

    shape, n, dtype = matrix.shape, options.n, options.dtype
    if options.target == "cpu":
        return default_cpu_schedule(shape, n, dtype, matrix.nonzeros)
    lowering = choose_lowering(shape, matrix.nonzeros, n).lowering
    return gpu_schedule_for(matrix, n, dtype, lowering, options.target)
