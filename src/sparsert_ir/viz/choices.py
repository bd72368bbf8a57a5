"""The schedule of a kernel, knob by knob: value, meaning, and what it comes to here."""

import inspect
import math
import re
from dataclasses import dataclass

from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.kernel import Kernel
from sparsert_ir.layout.dealing import deal_rows
from sparsert_ir.schedule import Schedule
from sparsert_ir.schedules.knobs import knobs_in_use
from sparsert_ir.viz.panels import panel_loads
from sparsert_ir.viz.pattern import panels_in_words


@dataclass(frozen=True)
class Choice:
    """meaning: from the docstring of `Schedule`; here: what the value comes to, may be empty."""

    knob: str
    value: str
    meaning: str
    here: str


def choices(kernel: Kernel) -> list[Choice]:
    """The knobs that have a say in this kernel."""
    compilation = kernel.compilation
    place = "gpu" if compilation.is_gpu else "cpu"
    used = knobs_in_use(kernel.schedule, place, compilation.layer.dtype)
    meanings, here = knob_meanings(), _here(kernel)
    return [
        Choice(knob, str(value), meanings.get(knob, ""), here.get(knob, ""))
        for knob, value in used.items()
    ]


def knob_meanings() -> dict[str, str]:
    """What `Schedule` says about its knobs."""
    words = inspect.getdoc(Schedule) or ""
    found = re.findall(r"^(\w+): +(.*?)(?=^\w+: |\Z)", words, re.MULTILINE | re.DOTALL)
    return {knob: " ".join(meaning.split()) for knob, meaning in found}


def _here(kernel: Kernel) -> dict[str, str]:
    schedule, matrix = kernel.schedule, kernel.compilation.layer.matrix
    panels = deal_rows(matrix.row_offsets, matrix.column_indices, schedule)
    _, loads = panel_loads(matrix, panels)
    words = {
        "lowering": kernel.stats.lowering.partition(": ")[2],
        "rows_per_panel": (
            f"{panels_in_words(panels)}, {loads.min():,} to {loads.max():,} nonzeros each"
        ),
    }
    if schedule.lowering == "code" and schedule.k_parts > 1:
        share = float(loads.mean()) / schedule.k_parts
        words["k_groups"] = f"about {share:.0f} multiply-adds of a panel for each thread and column"
    if not kernel.compilation.is_gpu:
        tiles = math.ceil(kernel.n / schedule.columns_per_thread)
        words["columns_per_thread"] = f"{kernel.n} columns in {tiles} tiles"
        return words
    blocks, threads = math.prod(kernel.grid), math.prod(kernel.block)
    gpu = limits_of(kernel.target)
    words["threads"] = (
        f"{blocks:,} blocks of {threads} threads for {gpu.multiprocessors} multiprocessors"
        f" ({gpu.name})"
    )
    return words
