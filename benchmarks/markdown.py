"""Results as markdown tables."""

from collections.abc import Iterable, Sequence
from typing import Any

from results import CaseResult, PeerResult, Summary, summaries


def report(header: dict[str, Any], results: list[CaseResult]) -> str:
    """The machine, the geometric means, then every case."""
    parts = [
        f"# {header['title']}",
        f"`{header['command']}`",
        _machine(header),
        "## Geometric means",
        "How many times faster than each peer: mean (cases; the worst one).",
        _summary_table(summaries(results)),
        "## Cases",
        "Microseconds per launch from CUDA graph replays, checked against float64 first; in"
        " brackets how many times faster ours is. floor: part reached of the time that the"
        " multiply-adds, or x and y in device memory, and a launch take; more than 100% where they"
        " stay in the L2 cache or launches overlap. A peer in ~tildes~ was wrong beyond rounding.",
        *(_case_table(dtype, results) for dtype in sorted({result.dtype for result in results})),
    ]
    failures = [f"- {result.label} {result.dtype}: {_failure(result)}" for result in results]
    failures = [line for line, result in zip(failures, results, strict=True) if result.failures]
    if failures:
        parts += ["## Failures", "\n".join(failures)]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _machine(header: dict[str, Any]) -> str:
    facts = header["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"{facts['gpu']}, {facts['multiprocessors']} multiprocessors at up to"
        f" {facts['clock_ghz']:.2f} GHz, driver for CUDA {facts['driver'] // 1000}."
        f"{facts['driver'] % 1000 // 10}; {versions}. Schedules: {header['schedule']}."
    )


def _peers_of(results: Iterable[CaseResult]) -> list[str]:
    return list(dict.fromkeys(peer for result in results for peer in result.peers))


def _summary_table(found: list[Summary]) -> str:
    peers = list(dict.fromkeys(peer for summary in found for peer in summary.ratios))
    head = ["suite", "sparsity", "type", "cases", *peers, "floor", "model / tuned"]
    rows: list[list[str]] = []
    for one in found:
        suite, sparsity, dtype = one.group
        ratios = [_ratio_cell(one.ratios.get(peer)) for peer in peers]
        floor = "" if one.floor_fraction is None else f"{one.floor_fraction:.0%}"
        model = "" if one.model_ratio is None else f"{one.model_ratio:.2f}"
        rows.append([suite, f"{sparsity:.0%}", dtype, str(one.cases), *ratios, floor, model])
    return table(head, rows)


def _ratio_cell(found: tuple[float, int, float] | None) -> str:
    return "" if found is None else f"**{found[0]:.2f}x** ({found[1]}; {found[2]:.2f}x)"


def _case_table(dtype: str, results: list[CaseResult]) -> str:
    chosen = [result for result in results if result.dtype == dtype]
    peers = _peers_of(chosen)
    head = ["case", "M x K", "nonzeros", "N", f"ours ({dtype})", "floor", *peers]
    head += ["error", "schedule", "registers", "code KB"]
    return table(head, [_case_row(result, peers) for result in chosen])


def _case_row(result: CaseResult, peers: list[str]) -> list[str]:
    ours = "failed" if result.us is None else f"{result.us:.2f}"
    fraction = result.floor_fraction
    return [
        f"{result.suite} {result.sparsity:.0%} {result.label.split('/')[2]}",
        f"{result.shape[0]} x {result.shape[1]}",
        str(result.nonzeros),
        str(result.n),
        ours,
        "" if fraction is None else f"{fraction:.0%}",
        *(_peer_cell(result.peers.get(peer), result.ratio(peer)) for peer in peers),
        "" if result.error is None else f"{result.error:.1e}",
        "" if result.schedule is None else result.schedule.short(),
        f"{result.registers}{' spills' if result.spilled_bytes else ''}",
        f"{result.code_bytes / 1024:.0f}",
    ]


def _peer_cell(found: PeerResult | None, ratio: float | None) -> str:
    if found is None:
        return ""
    if found.us is None:
        return found.reason
    text = f"{found.us:.2f}" + (" events" if found.timing == "events" else "")
    return f"{text} ({ratio:.2f}x)" if ratio is not None else f"~{text}~"


def _failure(result: CaseResult) -> str:
    shown = "; ".join(result.failures[:3])
    return shown + (f" and {len(result.failures) - 3} more" if len(result.failures) > 3 else "")
