"""A picture of how many times faster each case is."""

from importlib import import_module
from pathlib import Path
from typing import Any

from results import CaseResult


def plot(results: list[CaseResult], path: Path) -> bool:
    """Write a picture; False where matplotlib is not installed or there is nothing to show."""
    try:
        figures: Any = import_module("matplotlib.figure")
    except ImportError:
        return False
    peers = list(dict.fromkeys(peer for result in results for peer in result.peers))
    shown = [result for result in results if result.us is not None]
    if not shown or not peers:
        return False
    figure = figures.Figure(figsize=(max(6, 0.25 * len(shown)), 5), layout="constrained")
    axes = figure.subplots()
    for peer in peers:
        points = [
            (position, ratio)
            for position, result in enumerate(shown)
            if (ratio := result.ratio(peer)) is not None
        ]
        if points:
            axes.plot(*zip(*points, strict=True), "o", markersize=4, label=peer)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_ylabel("times faster than")
    names = [f"{result.label.removeprefix(result.suite + '/')} {result.dtype}" for result in shown]
    axes.set_xticks(range(len(shown)), [name[-40:] for name in names], rotation=90, fontsize=6)
    axes.legend()
    figure.savefig(path, dpi=150)
    return True
