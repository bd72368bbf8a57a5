"""How far predictions are from what was measured; reads results of spmm.py, needs no GPU.

    python benchmarks/model_error.py
    python benchmarks/model_error.py my-results.json --target sm_90

For each element type and math mode: predicted over measured time, geometric mean (least, most), the
typical factor between the two either way (exp of the mean |log|), and in how many cases the
predicted winner between sparse and dense was the measured one. Sparse kernels are predicted with
the schedule that ran, from shape and nonzeros alone, as `sparsert advise` does.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from markdown import table
from sparsert_ir import Schedule
from sparsert_ir.cost_model.gpu import DENSE_MODES, Product, predict_dense_us, predict_us
from sparsert_ir.cost_model.limits import limits_of

_RESULTS = Path(__file__).parent / "results"
_FILES = ("h200-mobilenet.json", "h200-dlmc.json")
_HEAD = ("type", "what", "cases", "predicted / measured", "typical factor", "winner right")


@dataclass(frozen=True)
class Pair:
    """Microseconds; right: whether the faster one of sparse and dense is the predicted one."""

    predicted: float
    measured: float
    right: bool | None = None


def pairs_of(
    results: Iterable[dict[str, Any]], architecture: str
) -> dict[tuple[str, str], list[Pair]]:
    """By element type and what was timed."""
    limits = limits_of(architecture)
    names = {one.name for one in fields(Schedule)}
    found: defaultdict[tuple[str, str], list[Pair]] = defaultdict(list)
    for result in results:
        if result["us"] is None:
            continue
        dtype, measured = result["dtype"], result["us"]
        # Schedules have got knobs since older results were recorded, never lost one.
        schedule = Schedule(**{k: v for k, v in result["schedule"].items() if k in names})
        product = Product(tuple(result["shape"]), result["nonzeros"], result["n"], dtype)
        predicted = predict_us(schedule, product, limits)
        found[dtype, f"sparse, {schedule.lowering}"].append(Pair(predicted, measured))
        for mode in DENSE_MODES[dtype]:
            peer = result["peers"].get(f"cublas {mode}")
            if peer is None or peer["us"] is None:
                continue
            dense = predict_dense_us(product, mode, limits)
            right = (dense > predicted) == (peer["us"] > measured)
            found[dtype, f"cuBLAS {mode}"].append(Pair(dense, peer["us"], right))
    return dict(found)


def row(dtype: str, what: str, pairs: Sequence[Pair]) -> list[str]:
    ratios = np.array([one.predicted / one.measured for one in pairs])
    logs = np.log(ratios)
    right = [one.right for one in pairs if one.right is not None]
    return [
        dtype,
        what,
        str(len(pairs)),
        f"{np.exp(logs.mean()):.2f} ({ratios.min():.2f}, {ratios.max():.2f})",
        f"{np.exp(np.abs(logs).mean()):.2f}",
        f"{sum(right)} of {len(right)}" if right else "",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "results", type=Path, nargs="*", help=f".json of spmm.py (default: {', '.join(_FILES)})"
    )
    parser.add_argument("--target", default="sm_90", help="of the GPU that was measured")
    options = parser.parse_args(arguments)
    files = options.results or [_RESULTS / name for name in _FILES]
    results = [one for file in files for one in json.loads(file.read_text())["results"]]
    found = pairs_of(results, options.target)
    print(table(_HEAD, [row(*group, pairs) for group, pairs in sorted(found.items())]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
