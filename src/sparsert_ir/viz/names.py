"""Names beside the points of a figure, where there is room for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparsert_ir.viz.canvas import QUIET, Axes

_SIZE = 7.5
_BESIDE = (
    ((6.0, -3.0), "left"),
    ((-6.0, -3.0), "right"),
    ((4.0, 6.0), "left"),
    ((4.0, -12.0), "left"),
    ((-4.0, 6.0), "right"),
    ((-4.0, -12.0), "right"),
)
"""Where a name may stand: offset from its point, in points of 1/72 inch, and its aligned side; the
best place first."""


@dataclass(frozen=True)
class _Box:
    """A rectangle on the figure, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: "_Box") -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top


def write_names(figure: Any, axes: Axes, named: Sequence[tuple[str, float, float]]) -> None:
    """Write the name of each (name, x, y) beside its point, and not over another name or point as
    far as possible. The axes must have their limits.
    """
    figure.draw_without_rendering()
    points = [_place(figure, axes, x, y) for _, x, y in named]
    taken = [_Box(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    frame = axes.get_window_extent()
    scale = 72 / figure.dpi
    inside = _Box(frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    for number, (name, x, y) in enumerate(named):
        boxes = [_box(name, points[number], *beside) for beside in _BESIDE]
        others = [box for place, box in enumerate(taken) if place != number]
        free = [
            place
            for place, box in enumerate(boxes)
            if box.left >= inside.left
            and box.right <= inside.right
            and not any(box.meets(other) for other in others)
        ]
        chosen = free[0] if free else 0
        taken.append(boxes[chosen])
        offset, side = _BESIDE[chosen]
        axes.annotate(
            name,
            (x, y),
            xytext=offset,
            textcoords="offset points",
            ha=side,
            fontsize=_SIZE,
            color=QUIET,
        )


def _place(figure: Any, axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Of a point of the axes on the figure, in points."""
    across, up = axes.transData.transform((x, y))
    return across * 72 / figure.dpi, up * 72 / figure.dpi


def _box(name: str, point: tuple[float, float], offset: tuple[float, float], side: str) -> _Box:
    """About what a name takes: letters are a bit more than half as wide as high."""
    width = 0.6 * _SIZE * len(name)
    left = point[0] + offset[0] - (width if side == "right" else 0.0)
    bottom = point[1] + offset[1]
    return _Box(left, bottom, left + width, bottom + _SIZE)
