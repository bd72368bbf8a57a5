"""inspect: what is in a matrix or a stored kernel, and what it will take to compute with it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsert_ir.cli.layers import (
    add_matrix_arguments,
    columns_if_told,
    read_matrix,
    refuse_for_artefact,
)
from sparsert_ir.cli.report import Report, count

if TYPE_CHECKING:
    from sparsert_ir.matrix import SparseMatrix

ARTEFACT_SUFFIX = ".sparsert"
_DEFAULT_ARCHITECTURE = "sm_90"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_matrix_arguments(parser)
    parser.add_argument(
        "-n", type=int, help="columns of x; where known, adds what a kernel would be"
    )
    parser.add_argument(
        "--target", help=f"cpu or an architecture, for -n (default {_DEFAULT_ARCHITECTURE})"
    )


def run(options: argparse.Namespace) -> Report:
    from sparsert_ir.progress import waiting_bar

    if is_artefact(options.weights):
        from sparsert_ir.cli.artefact_facts import artefact_report

        refuse_for_artefact(options)
        with waiting_bar("reading"):
            return artefact_report(options.weights)
    matrix = read_matrix(options)
    with waiting_bar("inspecting"):
        return _matrix(matrix, options)


def is_artefact(path: Path) -> bool:
    """By the name: `sparsert compile` gives its files this ending."""
    return path.suffix.lower() == ARTEFACT_SUFFIX


def _matrix(matrix: "SparseMatrix", options: argparse.Namespace) -> Report:
    facts = pattern_facts(matrix)
    shown = [
        ("shape", f"{matrix.shape[0]} x {matrix.shape[1]}"),
        ("nonzeros", f"{count(matrix.nonzeros)} ({facts['sparsity']:.2%} zeros)"),
        (
            "nonzeros per row",
            f"{facts['row_least']} to {facts['row_most']}, mean {facts['row_mean']:.1f},"
            f" coefficient of variation {facts['row_variation']:.2f}",
        ),
        ("empty", f"{facts['empty_rows']} rows, {facts['empty_columns']} columns"),
        ("digest", facts["digest"]),
    ]
    document: dict[str, Any] = {"kind": "matrix", **facts}
    n = columns_if_told(options)
    if n is not None:
        from sparsert_ir.layer_arguments import check_columns

        check_columns(matrix.shape, n)
        from sparsert_ir.cli.expected_kernel import expected_kernel
        from sparsert_ir.targets import target_of

        target = target_of(options.target or _DEFAULT_ARCHITECTURE)
        document["kernel"], more = expected_kernel(matrix, n, options.dtype, target)
        shown += more
    return Report(document, title=str(options.weights), facts=shown)


def pattern_facts(matrix: "SparseMatrix") -> dict[str, Any]:
    """Numbers that describe a pattern."""
    import numpy as np

    from sparsert_ir.tuner.record import matrix_digest

    lengths = matrix.row_lengths
    mean = float(lengths.mean())
    used = np.unique(matrix.column_indices).size
    return {
        "shape": list(matrix.shape),
        "nonzeros": matrix.nonzeros,
        "sparsity": 1.0 - matrix.density,
        "row_least": int(lengths.min()),
        "row_most": int(lengths.max()),
        "row_mean": mean,
        "row_variation": float(lengths.std() / mean) if mean else 0.0,
        "empty_rows": int((lengths == 0).sum()),
        "empty_columns": matrix.shape[1] - int(used),
        "digest": matrix_digest(matrix),
    }
