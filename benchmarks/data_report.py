"""What the benchmark of matrices as data found, as tables."""

from dataclasses import dataclass, field
from typing import Any

from markdown import table
from results import geometric_mean
from sparsert_ir import Schedule

PEERS = ("cublas f16", "cusparse f16")


@dataclass
class DataResult:
    """us: per launch; gigabytes: per second, of the packed weight, x and y; tried: microseconds
    and schedule of each candidate.
    """

    label: str
    shape: tuple[int, int]
    unevenness: float
    sparsity: float
    n: int
    nonzeros: int
    us: float | None = None
    gigabytes: float | None = None
    copies: int = 0
    packed_bytes: int = 0
    error: float | None = None
    schedule: Schedule | None = None
    default_us: float | None = None
    peers: dict[str, float | None] = field(default_factory=dict[str, float | None])
    tried: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    failures: list[str] = field(default_factory=list[str])

    def ratio(self, peer: str) -> float | None:
        peer_us = self.peers.get(peer)
        return None if peer_us is None or self.us is None else peer_us / self.us


def report(header: dict[str, Any], results: list[DataResult]) -> str:
    copy_rate = header["bytes_per_second"] or 0
    head = [
        "M x K",
        "rows",
        "sparsity",
        "N",
        "default (us)",
        "ours (us)",
        "GB/s",
        "of copy",
        *PEERS,
        "error",
        "schedule",
    ]
    means = [
        [
            _rows_text(unevenness),
            f"{sparsity:.0%}",
            str(n),
            *(
                ""
                if (mean := _mean(results, (unevenness, sparsity, n), peer)) is None
                else f"{mean:.2f}x"
                for peer in PEERS
            ),
        ]
        for unevenness, sparsity, n in sorted(
            {(one.unevenness, one.sparsity, one.n) for one in results}
        )
    ]
    failures = [f"- {one.label}: {'; '.join(one.failures[:3])}" for one in results if one.failures]
    return "\n\n".join(
        [
            "# The matrix as data: weights from memory, f16, sums in f32",
            f"`{header['command']}`",
            f"{header['machine']['gpu']}; a copy in device memory moves {copy_rate / 1e12:.2f} TB/s"
            " (read and written). Weights take turns past the L2 cache.",
            "## Geometric means: how many times faster",
            table(["rows", "sparsity", "N", *PEERS], means),
            "## Products",
            table(head, [_row(one, copy_rate) for one in results]),
            *(["## Failures", "\n".join(failures)] if failures else []),
        ]
    ) + "\n"  # fmt: skip


def _rows_text(unevenness: float) -> str:
    return f"uneven, {unevenness:g}" if unevenness else "uniform"


def _mean(results: list[DataResult], kind: tuple[float, float, int], peer: str) -> float | None:
    ratios = [one.ratio(peer) for one in results if (one.unevenness, one.sparsity, one.n) == kind]
    return geometric_mean([ratio for ratio in ratios if ratio is not None])


def _row(one: DataResult, copy_rate: float) -> list[str]:
    rate = one.gigabytes or 0.0
    peers = [
        ""
        if (us := one.peers.get(peer)) is None
        else f"{us:.2f}" + ("" if (ratio := one.ratio(peer)) is None else f" ({ratio:.2f}x)")
        for peer in PEERS
    ]
    return [
        f"{one.shape[0]} x {one.shape[1]}",
        _rows_text(one.unevenness),
        f"{one.sparsity:.0%}",
        str(one.n),
        "failed" if one.default_us is None else f"{one.default_us:.2f}",
        "failed" if one.us is None else f"{one.us:.2f}",
        f"{rate:.0f}",
        f"{rate * 1e9 / copy_rate:.0%}" if copy_rate else "",
        *peers,
        "" if one.error is None else f"{one.error:.1e}",
        "" if one.schedule is None else one.schedule.short(),
    ]


def one_line(one: DataResult) -> str:
    ours = "failed" if one.us is None else f"{one.us:.2f} us, {one.gigabytes or 0:.0f} GB/s"
    ratios = [f"{p} {r:.2f}x" for p in PEERS if (r := one.ratio(p)) is not None]
    return f"{one.label}: {ours} {' '.join(ratios)}"
