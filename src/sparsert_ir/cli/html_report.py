"""report: one HTML page that walks through every stage of a compilation (extra viz)."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from sparsert_ir.cli.layers import (
    add_layer_arguments,
    add_schedule_argument,
    check_output,
    compile_layer,
    read_layer,
    with_schedule,
)
from sparsert_ir.cli.report import Report, count
from sparsert_ir.errors import DeviceError

if TYPE_CHECKING:
    from sparsert_ir.kernel import Kernel

_PASSED_ON = (
    "key", "seed", "bias", "activation", "residual", "schedule", "lowering", "code_budget",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_layer_arguments(parser)
    add_schedule_argument(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="an .html")


def run(options: argparse.Namespace) -> Report:
    from sparsert_ir.files import write_atomically
    from sparsert_ir.progress import progress_bar
    from sparsert_ir.targets import target_of
    from sparsert_ir.viz.canvas import figure_style
    from sparsert_ir.viz.report import report_page, step_count

    check_output(options.output, options, suffix=".html")
    with figure_style():
        # Refuses a missing extra before any work is done.
        target = target_of(options.target)
    layer = with_schedule(read_layer(options), options, target)
    kernel: Kernel = compile_layer(layer, options, target)
    _assemble(kernel)
    with progress_bar("report", step_count(kernel)) as step:
        page = report_page(
            kernel, options.weights.name, full_text=_full_text(options, kernel), step=step
        )
    write_atomically(options.output, page.encode())
    written = options.output.stat().st_size
    return Report(
        {"output": str(options.output), "bytes": written, "stages": list(kernel.stages)},
        facts=[("written", f"{options.output} ({count(written)} bytes)")],
    )


def _assemble(kernel: "Kernel") -> None:
    """Registers and code size are known once a GPU has assembled the kernel."""
    from sparsert_ir.runtime.device import find_gpu

    if kernel.compilation.is_gpu and find_gpu() is not None:
        try:
            kernel.load()
        except DeviceError:
            # Made for another GPU than the one present: the page does without.
            return


def _full_text(options: argparse.Namespace, kernel: "Kernel") -> str:
    """The command that prints the whole IR of a stage of this kernel."""
    words = ["sparsert", "compile", str(options.weights), "-n", str(kernel.n)]
    words += ["--target", kernel.target, "--dtype", options.dtype]
    for name in _PASSED_ON:
        value = getattr(options, name)
        if value is not None:
            words += ["--" + name.replace("_", "-"), str(value)]
    return shlex.join([*words, "--stage", "STAGE", "-o", "-"])
