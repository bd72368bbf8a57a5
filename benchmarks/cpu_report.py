"""The times of CPU kernels and their peers as markdown."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

_CONVOLUTIONS = "convolutions"
_NOT_IN_MEANS = "tiny"


def summary(row: Row) -> str:
    """One line for a terminal."""
    ours = row["us"]["ours"]
    ratios = " ".join(f"{peer} {row['us'][peer] / ours:.1f}x" for peer in peers_of([row]))
    return f"{row['threads']} {row['label']}: {ours:.1f} us, {ratios}"


def report(header: dict[str, Any], measured: Sequence[Row]) -> str:
    facts, rows = header["machine"], peers_at_their_best(measured)
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    products = [row for row in rows if row["suite"] != _CONVOLUTIONS]
    convolutions = [row for row in rows if row["suite"] == _CONVOLUTIONS]
    lines = [
        "# Sparse times dense on a CPU",
        "",
        f"    {header['command']}",
        "",
        f"{facts['processor']} ({facts['llvm_name']}), {facts['cores']} cores; {versions};"
        f" OpenBLAS runs its {facts['openblas']} kernels.",
        "f32, shortest call in us, arrays on cache lines. SciPy's product has one thread always.",
        "A ratio is a peer's time over ours: above 1 we are faster. A peer that a case suits better"
        " with fewer threads has the time of those.",
    ]
    for title, part in (("Products", products), ("Convolutions", convolutions)):
        if part and peers_of(part):
            lines += ["", f"## {title}: geometric means of the ratios", "", *means(part)]
        for threads in sorted({row["threads"] for row in part}):
            lines += ["", f"## {title}: {threads} thread{'s' * (threads > 1)}", ""]
            lines += table([row for row in part if row["threads"] == threads])
    return "\n".join(lines) + "\n"


def peers_at_their_best(rows: Sequence[Row]) -> list[Row]:
    """Rows in which peers take the time of fewer threads where that is shorter: with two, torch's
    sometimes wait for each other for 16 ms in every call.
    """
    return [{**row, "us": _best_of(row, rows)} for row in rows]


def _best_of(row: Row, rows: Sequence[Row]) -> dict[str, float]:
    fewer = [
        one["us"]
        for one in rows
        if one["label"] == row["label"] and one["threads"] <= row["threads"]
    ]
    return {
        name: us if name == "ours" else min(times.get(name, us) for times in fewer)
        for name, us in row["us"].items()
    }


def means(rows: Sequence[Row]) -> Iterator[str]:
    """The suites one by one, then together; tiny products count for themselves only."""
    names = peers_of(rows)
    yield f"| threads | suite | sparsity | cases | {' | '.join(names)} | slowest against |"
    yield "|---" * (5 + len(names)) + "|"
    keys = sorted({(row["threads"], row["suite"], row["sparsity"]) for row in rows})
    together = sorted({(t, "all", s) for t, suite, s in keys if suite != _NOT_IN_MEANS})
    for key in [*keys, *(together if len({suite for _, suite, _ in keys}) > 1 else [])]:
        chosen = [row for row in rows if _is_of(row, key)]
        cells = " | ".join(f"{geometric_mean(_ratios(chosen, name)):.2f}x" for name in names)
        worst, name = min((min(_ratios(chosen, name)), name) for name in names)
        yield (
            f"| {key[0]} | {key[1]} | {key[2]:.0%} | {len(chosen)} | {cells} |"
            f" {name}: {worst:.2f}x |"
        )


def _is_of(row: Row, key: tuple[int, str, float]) -> bool:
    threads, suite, sparsity = key
    same = row["threads"] == threads and row["sparsity"] == sparsity
    if suite == "all":
        return same and row["suite"] != _NOT_IN_MEANS
    return same and row["suite"] == suite


def _ratios(rows: Sequence[Row], name: str) -> list[float]:
    return [row["us"][name] / row["us"]["ours"] for row in rows]


def table(rows: Sequence[Row]) -> Iterator[str]:
    names = peers_of(rows)
    yield f"| case | nonzeros | ours | {' | '.join(names)} | schedule | compile s |"
    yield "|---" * (5 + len(names)) + "|"
    for row in rows:
        ours = row["us"]["ours"]
        peers = " | ".join(f"{_us(row['us'][n])} ({row['us'][n] / ours:.1f}x)" for n in names)
        yield (
            f"| {row['label']} | {row['nonzeros']} | {_us(ours)} | {peers} | {row['schedule']} |"
            f" {row['compile_seconds']:.2f} |"
        )


def _us(time: float) -> str:
    return f"{time:.1f}" if time < 20 else f"{time:.0f}"


def peers_of(rows: Sequence[Row]) -> list[str]:
    """In the order in which they were measured."""
    return [name for name in rows[0]["us"] if name != "ours"]


def geometric_mean(numbers: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, numbers)) / len(numbers))
