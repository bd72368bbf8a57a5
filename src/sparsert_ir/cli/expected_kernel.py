"""What the compiler would make of a matrix, by its own choice and its model."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparsert_ir.matrix import SparseMatrix
    from sparsert_ir.schedule import Schedule

Facts = list[tuple[str, str]]


def expected_kernel(
    matrix: "SparseMatrix", n: int, dtype: str, target: str
) -> tuple[dict[str, Any], Facts]:
    """A document and facts. target: "cpu" or an architecture."""
    document, facts = (
        _on_cpu(matrix, n, dtype) if target == "cpu" else _on_gpu(matrix, n, dtype, target)
    )
    return {"target": target, **document}, [("for", f"N = {n}, {dtype}, {target}"), *facts]


def _on_cpu(matrix: "SparseMatrix", n: int, dtype: str) -> tuple[dict[str, Any], Facts]:
    from sparsert_ir.cost_model.cpu import CpuFacts, predict_cpu
    from sparsert_ir.schedules.default import default_cpu_schedule, default_threads

    schedule = default_cpu_schedule(matrix.shape, n, dtype, matrix.nonzeros)
    us = 1e6 * predict_cpu(CpuFacts(*matrix.shape, n, matrix.nonzeros, dtype), schedule)
    threads = default_threads(matrix.shape, matrix.nonzeros, n, schedule)
    document: dict[str, Any] = {
        "lowering": schedule.lowering,
        "columns_per_tile": schedule.columns_per_thread,
        "copies_x": schedule.staging == "copy",
        "threads": threads,
        "predicted_us": us,
    }
    copied = ", each copied before it is used" if document["copies_x"] else ""
    facts = [
        ("lowering", f"{schedule.lowering}: the default for a CPU"),
        ("tiles of x", f"{schedule.columns_per_thread} columns{copied}"),
        ("threads", str(threads)),
        ("predicted", f"{us:.2f} us on one thread"),
    ]
    return document, facts


def _turns(schedule: "Schedule") -> str:
    """Of the warps that compute a matrix that is data; nothing where each has one panel."""
    turns = schedule.panels_per_warp
    return f", up to {turns} one after another by each warp" if turns > 1 else ""


def _on_gpu(
    matrix: "SparseMatrix", n: int, dtype: str, target: str
) -> tuple[dict[str, Any], Facts]:
    from sparsert_ir.cost_model.budget import CodeEstimate
    from sparsert_ir.cost_model.gpu import Product, predict_us
    from sparsert_ir.cost_model.limits import floor_us, limits_of
    from sparsert_ir.layout.dealing import deal_rows, touched_columns
    from sparsert_ir.schedules.default import choose_lowering, gpu_schedule_for, readable_bytes

    limits, product = limits_of(target), Product.of(matrix, n, dtype)
    chosen = choose_lowering(matrix.shape, matrix.nonzeros, n)
    schedule = gpu_schedule_for(matrix, n, dtype, chosen.lowering, target)
    panels = deal_rows(matrix.row_offsets, matrix.column_indices, schedule)
    balanced = [int(matrix.row_lengths[rows[rows >= 0]].sum()) for rows in panels]
    height = panels.shape[1]
    in_order = [
        int(matrix.row_lengths[first : first + height].sum())
        for first in range(0, matrix.shape[0], height)
    ]
    loads = int(touched_columns(matrix.row_offsets, matrix.column_indices, panels).sum())
    document: dict[str, Any] = {
        "gpu": limits.name,
        "lowering": chosen.lowering,
        "lowering_reason": chosen.reason,
        "panels": len(panels),
        "rows_per_panel": height,
        "panels_per_warp": schedule.panels_per_warp,
        "panel_least": min(balanced),
        "panel_most": max(balanced),
        "unbalanced_least": min(in_order),
        "unbalanced_most": max(in_order),
        "code_bytes": CodeEstimate(matrix.nonzeros, loads).code_bytes,
        "floor_us": floor_us(limits, matrix.shape, matrix.nonzeros, n, dtype),
        "predicted_us": predict_us(schedule, product, limits),
    }
    facts = [
        ("lowering", f"{chosen.lowering}: {chosen.reason}"),
        ("panels", f"{len(panels)} of up to {height} rows{_turns(schedule)}"),
        (
            "nonzeros per panel",
            f"{min(balanced)} to {max(balanced)}; in order of rows {min(in_order)} to"
            f" {max(in_order)}",
        ),
        ("code if unrolled", f"about {readable_bytes(document['code_bytes'])}"),
        ("registers", "known once it is assembled: see an artefact made on a GPU"),
        ("floor", f"{document['floor_us']:.2f} us ({limits.name})"),
        ("predicted", f"{document['predicted_us']:.2f} us"),
    ]
    return document, facts
