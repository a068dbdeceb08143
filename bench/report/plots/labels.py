"""Labels beside points, none on another, on a point or outside of the axes where that can be."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from math import cos, pi, sin

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from bench.report.plots.style import colour

DISTANCES = (9, 16, 26, 38, 52, 68)  # points from the mark; figures have 72 dots an inch
ANGLES = tuple(k * pi / 8 for k in (2, 6, 10, 14, 0, 8, 4, 12, 1, 3, 5, 7, 9, 11, 13, 15))
MARK = 6.0  # pixels that a point's own mark reaches


def place_labels(
    figure: Figure,
    axis: Axes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    lines: Sequence[Sequence[tuple[float, float]]] = (),
    size: float = 9.0,
) -> list[Bbox]:
    """Greedy, in the given order, nearest free place first; a thin line leads to a label that
    stands far off. Where there is no free place, the one with the least overlap is taken.

    lines: polylines in data coordinates that labels should not cross, if they can help it.

    Returns the labels' boxes in pixels.
    """
    figure.canvas.draw()  # the layout is known only now
    pixels = [tuple(axis.transData.transform(point)) for point in points]
    marks = [Bbox([[x - MARK, y - MARK], [x + MARK, y + MARK]]) for x, y in pixels]
    marks += [box for line in lines for box in _along(axis.transData.transform(line))]
    frame = axis.get_window_extent()
    taken: list[Bbox] = []
    for point, (x, y), text in zip(points, pixels, texts, strict=True):
        width, height = _extent(figure, axis, text, size)
        best, cost = None, float("inf")
        for dx, dy, box in _places(x, y, width, height):
            overlap = sum(_overlap(box, other) for other in (*taken, *marks))
            outside = width * height - _overlap(box, frame)
            if (found := overlap + 2 * outside) < cost - 1e-9:
                best, cost = (dx, dy, box), found
            if cost <= 0.5:
                break
        assert best is not None
        dx, dy, box = best
        taken.append(box)
        far = max(abs(dx), abs(dy)) > DISTANCES[1] + width / 2
        axis.annotate(
            text,
            point,
            xytext=(dx, dy),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=colour("text"),
            bbox={"boxstyle": "square,pad=0", "fc": colour("card"), "ec": "none", "alpha": 0.7},
            arrowprops={"arrowstyle": "-", "color": colour("soft"), "lw": 0.6} if far else None,
            annotation_clip=False,
        )
    return taken


def _extent(figure: Figure, axis: Axes, text: str, size: float) -> tuple[float, float]:
    shown = axis.text(0.5, 0.5, text, fontsize=size, transform=axis.transAxes)
    box = shown.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    shown.remove()
    return box.width + 3, box.height + 1


def _along(corners: NDArray[np.float64]) -> list[Bbox]:
    """Small boxes along a polyline: a label on it is dear, but less so than one on a point."""
    boxes = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        steps = max(int(np.hypot(x1 - x0, y1 - y0) / 4), 1)
        for t in np.linspace(0, 1, steps + 1):
            x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
            boxes.append(Bbox([[x - 1.5, y - 1.5], [x + 1.5, y + 1.5]]))
    return boxes


def _places(x: float, y: float, width: float, height: float) -> Iterator[tuple[float, float, Bbox]]:
    """Offsets of the label's middle, and the box that it then fills."""
    for distance, angle in product(DISTANCES, ANGLES):
        dx = cos(angle) * (distance + width / 2)
        dy = sin(angle) * (distance + height / 2)
        left, bottom = x + dx - width / 2, y + dy - height / 2
        yield dx, dy, Bbox([[left, bottom], [left + width, bottom + height]])


def _overlap(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(width, 0.0) * max(height, 0.0))
