"""What a benchmark found, and its summary."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sparsert_ir import Schedule


@dataclass(frozen=True)
class PeerResult:
    """us: microseconds per launch, None with a `reason`; ok: right within its math mode."""

    us: float | None
    reason: str = ""
    error: float | None = None
    ok: bool = True
    timing: str = ""


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One product, ours and the peers'.

    us:       microseconds per launch of the kernel that counts; None with `failures` if none is.
    model_us: of the cost model's choice, where that was measured, too.
    error:    largest absolute error over the largest element, against float64.
    """

    label: str
    suite: str
    sparsity: float
    shape: tuple[int, int]
    n: int
    nonzeros: int
    dtype: str
    floor_us: float
    us: float | None = None
    model_us: float | None = None
    schedule: Schedule | None = None
    error: float | None = None
    registers: int = 0
    spilled_bytes: int = 0
    code_bytes: int = 0
    build_seconds: float = 0
    candidates: int = 0
    failures: tuple[str, ...] = ()
    peers: dict[str, PeerResult] = field(default_factory=dict[str, PeerResult])

    @property
    def floor_fraction(self) -> float | None:
        return None if self.us is None else self.floor_us / self.us

    def ratio(self, peer: str) -> float | None:
        """How many times faster than the peer; None where one of the two is missing or wrong."""
        found = self.peers.get(peer)
        if self.us is None or found is None or found.us is None or not found.ok:
            return None
        return found.us / self.us

    def record(self) -> dict[str, Any]:
        """For JSON."""
        ratios = {peer: self.ratio(peer) for peer in self.peers}
        return asdict(self) | {"floor_fraction": self.floor_fraction, "ratios": ratios}


@dataclass(frozen=True)
class Summary:
    """Geometric means over the cases of one group.

    ratios:      by peer, with how many cases count and the smallest ratio.
    model_ratio: time of the model's choice over the tuned one's, where others were tried.
    """

    group: tuple[str, float, str]
    cases: int
    floor_fraction: float | None
    model_ratio: float | None
    ratios: dict[str, tuple[float, int, float]]


def summaries(results: Iterable[CaseResult]) -> list[Summary]:
    """By suite (the transformer's by N, too), sparsity and element type."""
    groups: dict[tuple[str, float, str], list[CaseResult]] = {}
    for result in results:
        suite = f"{result.suite} N={result.n}" if result.suite == "transformer" else result.suite
        groups.setdefault((suite, result.sparsity, result.dtype), []).append(result)
    return [_summary(group, members) for group, members in sorted(groups.items())]


def _summary(group: tuple[str, float, str], members: list[CaseResult]) -> Summary:
    peers = dict.fromkeys(peer for member in members for peer in member.peers)
    ratios: dict[str, tuple[float, int, float]] = {}
    for peer in peers:
        found = [ratio for member in members if (ratio := member.ratio(peer)) is not None]
        mean = geometric_mean(found)
        if mean is not None:
            ratios[peer] = (mean, len(found), min(found))
    return Summary(
        group,
        len(members),
        geometric_mean([one for member in members if (one := member.floor_fraction) is not None]),
        geometric_mean(
            [
                member.model_us / member.us
                for member in members
                if member.us and member.model_us and member.candidates > 1
            ]
        ),
        ratios,
    )


def geometric_mean(numbers: list[float]) -> float | None:
    if not numbers:
        return None
    return math.exp(sum(map(math.log, numbers)) / len(numbers))


def write_json(path: Path, header: dict[str, Any], results: list[CaseResult]) -> None:
    """The whole document, replaced at once."""
    document = {
        **header,
        "summaries": [asdict(summary) for summary in summaries(results)],
        "results": [result.record() for result in results],
    }
    replace_text(path, json.dumps(document, indent=1) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader, or a kill, never finds half of it."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
