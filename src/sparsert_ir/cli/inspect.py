"""inspect: what is in a matrix or a stored kernel, and what it will take to compute with it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsert_ir.cli.layers import add_matrix_arguments, read_matrix
from sparsert_ir.cli.report import Report, count

if TYPE_CHECKING:
    from sparsert_ir.matrix import SparseMatrix

ARTEFACT_SUFFIX = ".sparsert"
_DEFAULT_ARCHITECTURE = "sm_90"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_matrix_arguments(parser)
    parser.add_argument("-n", type=int, help="columns of x: adds what a kernel for it would be")
    parser.add_argument("--target", help=f"architecture for -n (default {_DEFAULT_ARCHITECTURE})")


def run(options: argparse.Namespace) -> Report:
    if is_artefact(options.weights):
        return _artefact(options.weights)
    return _matrix(read_matrix(options), options)


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
    if options.n is not None:
        document["kernel"] = kernel = _kernel_facts(matrix, options)
        shown += [
            ("for", f"N = {options.n}, {options.dtype}, {kernel['target']}"),
            ("lowering", f"{kernel['lowering']}: {kernel['lowering_reason']}"),
            ("panels", f"{kernel['panels']} of up to {kernel['rows_per_panel']} rows"),
            (
                "nonzeros per panel",
                f"{kernel['panel_least']} to {kernel['panel_most']};"
                f" in order of rows {kernel['unbalanced_least']} to {kernel['unbalanced_most']}",
            ),
            ("code if unrolled", f"about {kernel['code_bytes'] / 1024:.0f} KB"),
            ("floor", f"{kernel['floor_us']:.2f} us ({kernel['gpu']})"),
            ("predicted", f"{kernel['predicted_us']:.2f} us"),
        ]
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


def _kernel_facts(matrix: "SparseMatrix", options: argparse.Namespace) -> dict[str, Any]:
    """What the compiler's own choice for this N would be."""
    from sparsert_ir.budget import CodeEstimate
    from sparsert_ir.compiler import target_of
    from sparsert_ir.cost_model import choose_lowering, gpu_schedule_for
    from sparsert_ir.dealing import deal_rows, touched_columns
    from sparsert_ir.limits import floor_us, limits_of
    from sparsert_ir.prediction import Product, predict_us

    target = target_of(options.target or _DEFAULT_ARCHITECTURE)
    limits, product = limits_of(target), Product.of(matrix, options.n, options.dtype)
    chosen = choose_lowering(matrix.shape, matrix.nonzeros, options.n)
    schedule = gpu_schedule_for(matrix, options.n, options.dtype, chosen.lowering, target)
    panels = deal_rows(matrix.row_offsets, matrix.column_indices, schedule)
    balanced = [int(matrix.row_lengths[rows[rows >= 0]].sum()) for rows in panels]
    height = panels.shape[1]
    in_order = [
        int(matrix.row_lengths[first : first + height].sum())
        for first in range(0, matrix.shape[0], height)
    ]
    loads = int(touched_columns(matrix.row_offsets, matrix.column_indices, panels).sum())
    return {
        "target": target,
        "gpu": limits.name,
        "lowering": chosen.lowering,
        "lowering_reason": chosen.reason,
        "panels": len(panels),
        "rows_per_panel": height,
        "panel_least": min(balanced),
        "panel_most": max(balanced),
        "unbalanced_least": min(in_order),
        "unbalanced_most": max(in_order),
        "code_bytes": CodeEstimate(matrix.nonzeros, loads).code_bytes,
        "floor_us": floor_us(limits, matrix.shape, matrix.nonzeros, options.n, options.dtype),
        "predicted_us": predict_us(schedule, product, limits),
    }


def _artefact(path: Path) -> Report:
    from dataclasses import asdict

    from sparsert_ir.artefact import load_kernel_file
    from sparsert_ir.runtime.program import code_size

    saved = load_kernel_file(path)
    manifest, binary = saved.manifest, saved.binary
    signature, launch = manifest.signature, manifest.launch
    machine_code = code_size(binary.cubin, binary.name) if binary.cubin else None
    constants = sum(array.nbytes for _, array in binary.constants)
    document = {
        "kind": "artefact",
        **asdict(manifest),
        "ptx_bytes": len(binary.ptx),
        "code_bytes": machine_code,
        "constant_bytes": constants,
    }
    code = f"{count(machine_code)} bytes for {binary.cubin_arch}" if machine_code else "none"
    facts = [
        ("kernel", f"@{saved.name} for {saved.target}"),
        (
            "computes",
            f"y{list(signature.y_shape)} from x{list(signature.x_shape)}, {signature.dtype}",
        ),
        ("residual", "yes" if signature.has_residual else "no"),
        ("launch", f"grid {launch.grid}, block {launch.block}, {launch.shared_bytes} bytes shared"),
        ("machine code", code),
        ("PTX", f"{count(len(binary.ptx))} bytes"),
        ("packed arrays", f"{count(constants)} bytes"),
        ("schedule", saved.schedule.short() if saved.schedule else "not recorded"),
        ("matrix", ", ".join(f"{name} {value}" for name, value in manifest.matrix.items())),
        ("made with", ", ".join(f"{name} {one}" for name, one in manifest.versions.items())),
    ]
    return Report(document, title=str(path), facts=facts)
