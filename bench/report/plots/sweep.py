"""A sweep's plots: accuracy against latency, and either of them over a budget."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.cost.spending import scaled
from bench.report.plots.labels import place_labels
from bench.report.plots.style import colour, new_figure, styled
from bench.report.sweep.result import Point, Sweep, pareto_front

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Over:
    """A budget that a plot can be drawn over. of: a point's, None if it was not counted."""

    words: str
    axis: str
    of: Callable[[Point], Any]


OVER: Mapping[str, Over] = {
    "tokens": Over("kept tokens", "visual tokens in the last layers", lambda p: p.tokens),
    "average": Over("tokens a layer", "visual tokens a layer, on average", lambda p: p.average),
    "flops": Over("FLOPs", "FLOPs of reading a prompt", lambda p: p.flops),
    "cache": Over("cache", "bytes of a prompt's keys and values", lambda p: p.cache_bytes),
}
SERIES = (("merged", True, "blue", "D"), ("not merged", False, "vermillion", "o"))
INKS = ("orange", "blue", "vermillion", "green", "purple")
MARKERS = ("s", "D", "o", "^", "v", "P", "*")
MARKED: Mapping[str, tuple[str, str, Any]] = {  # what a method has to beat
    "random-tokens": ("grey", "X", (0, (2, 2))),
    "downsample": ("grey", "d", (0, (5, 2))),
}
LABELS = 16  # more would stand on each other
NEXT = 1.3  # times a tick the next one, or their labels would
STEP = 0.015  # by which a series stands aside of the one before, where equal values would hide


def accuracy_against_latency(sweep: Sweep) -> Figure:
    """Up and to the left is better; the step line is the front that no other point beats."""
    front = pareto_front(sweep.points)
    corners = _steps(front)
    with styled():
        figure, (axis,) = new_figure(4.6)
        axis.scatter(
            [p.ratio for p in front], [p.accuracy for p in front], s=190, lw=0,
            color=colour("green"), alpha=0.3, label="front", zorder=1,
        )  # fmt: skip
        if len(front) > 1:
            axis.plot(
                [x for x, _ in corners], [y for _, y in corners],
                color=colour("green"), lw=4, alpha=0.3, zorder=1,
            )  # fmt: skip
        for label, points, ink, marker in _series(sweep):
            for point in points:
                _cross(axis, point, ink)
            axis.scatter(
                [p.ratio for p in points], [p.accuracy for p in points], s=46, marker=marker,
                color=ink, edgecolor=colour("card"), lw=0.8, label=label, zorder=3,
            )  # fmt: skip
        axis.axvline(1, color=colour("grey"), lw=0.8, ls=(0, (4, 3)), zorder=1)
        axis.set_xlabel(f"time of an answer, times dense's (batch {sweep.batch})")
        _accuracy_axis(axis, sweep)
        axis.margins(x=0.12)
        axis.set_title("accuracy against latency")
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4, handletextpad=0.3,
                    columnspacing=1.1, handlelength=1.2)  # fmt: skip
        points = sorted(sweep.points, key=lambda p: (p not in front, p.ratio))
        if len(points) > LABELS:
            points = [p for p in points if p in front or p.dense]
        names = ["dense" if p.dense else p.keep for p in points]
        lines = [_steps(front), *(line for p in points for line in _intervals(p))]
        place_labels(figure, axis, [(p.ratio, p.accuracy) for p in points], names, lines=lines)
    return figure


def accuracy_over(sweep: Sweep, over: str) -> Figure:
    """How much accuracy is left with less. over: a name of OVER."""
    with styled():
        figure, (axis,) = new_figure(3.9)
        _lines(axis, sweep, over, lambda p: (p.accuracy_low, p.accuracy, p.accuracy_high))
        _accuracy_axis(axis, sweep)
        axis.set_title(f"accuracy over {OVER[over].words}")
    return figure


def latency_over(sweep: Sweep, over: str) -> Figure:
    """What less saves of the time. over: a name of OVER."""
    with styled():
        figure, (axis,) = new_figure(3.9)
        _lines(axis, sweep, over, lambda p: (p.ratio_low, p.ratio, p.ratio_high))
        axis.axhline(1, color=colour("grey"), lw=0.8, ls=(0, (4, 3)), zorder=1)
        axis.set_ylabel(f"time of an answer, times dense's (batch {sweep.batch})")
        axis.grid(lw=0.6)
        axis.set_axisbelow(True)
        axis.set_title(f"time over {OVER[over].words}")
    return figure


def _lines(axis: Axes, sweep: Sweep, over: str, of: Callable[[Point], Interval]) -> None:
    """A line for each series, with intervals. of: low end, value and high end."""
    what = OVER[over]
    values, series = list[float](), _series(sweep)
    for place, (label, points, ink, marker) in enumerate(series):
        shown = sorted((p for p in points if what.of(p) is not None), key=what.of)
        if not shown:
            continue
        aside = 1 + STEP * (place - len(series) / 2)
        xs = [what.of(p) * (1 if p.dense else aside) for p in shown]
        values += [what.of(p) for p in shown]
        ends = [of(p) for p in shown]
        below = [value - low for low, value, _ in ends]
        above = [high - value if isfinite(high) else 0.0 for _, value, high in ends]
        axis.errorbar(
            xs, [value for _, value, _ in ends], yerr=[below, above], color=ink, marker=marker,
            ms=6, lw=1.4, elinewidth=0.9, mec=colour("card"), mew=0.8, label=label,
            ls=MARKED.get(label, (ink, marker, "-"))[2],
        )  # fmt: skip
    axis.set_xscale("log", base=2)
    ticks = list[float]()
    for value in sorted(set(values)):
        if not ticks or value > NEXT * ticks[-1]:
            ticks.append(value)
    axis.set_xticks(ticks)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scaled(value).strip()))
    axis.minorticks_off()
    axis.set_xlabel(what.axis)
    if values:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, handletextpad=0.4,
                    columnspacing=1.2)  # fmt: skip


def _series(sweep: Sweep) -> list[tuple[str, list[Point], str, str]]:
    grid = [p for p in sweep.points if not p.dense and not p.method]
    rows = [
        (label, [p for p in grid if p.merge == merge], colour(ink), marker)
        for label, merge, ink, marker in SERIES
    ]
    methods = list(dict.fromkeys(p.method for p in sweep.points if p.method))
    for number, method in enumerate(name for name in methods if name not in MARKED):
        ink, marker = INKS[number % len(INKS)], MARKERS[number % len(MARKERS)]
        rows.append((method, [p for p in sweep.points if p.method == method], colour(ink), marker))
    for method, (ink, marker, _) in MARKED.items():
        rows.append((method, [p for p in sweep.points if p.method == method], colour(ink), marker))
    rows.append(("dense", [p for p in sweep.points if p.dense], colour("grey"), "s"))
    return [row for row in rows if row[1]]


def _cross(axis: Axes, point: Point, ink: str) -> None:
    for (x0, y0), (x1, y1) in _intervals(point):
        axis.plot([x0, x1], [y0, y1], color=ink, lw=0.9, alpha=0.55, zorder=2)


def _intervals(point: Point) -> list[list[tuple[float, float]]]:
    """The lines of both intervals; one that is infinite is not drawn."""
    x, y = point.ratio, point.accuracy
    lines = [[(x, point.accuracy_low), (x, point.accuracy_high)]]
    if isfinite(point.ratio_high):
        lines.append([(point.ratio_low, y), (point.ratio_high, y)])
    return lines


def _steps(front: Sequence[Point]) -> list[tuple[float, float]]:
    """The corners of the front."""
    corners = [(front[0].ratio, front[0].accuracy)]
    for before, point in pairwise(front):
        corners += [(point.ratio, before.accuracy), (point.ratio, point.accuracy)]
    return corners


def _accuracy_axis(axis: Axes, sweep: Sweep) -> None:
    dense = next(point for point in sweep.points if point.dense)
    axis.axhline(dense.accuracy, color=colour("grey"), lw=0.8, ls=(0, (4, 3)), zorder=1)
    low = min(point.accuracy_low for point in sweep.points)
    high = max(point.accuracy_high for point in sweep.points)
    room = max(high - low, 0.02)
    axis.set_ylim(low - 0.08 * room, high + 0.14 * room)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}%"))
    axis.set_ylabel(f"circular accuracy, {sweep.questions} questions")
    axis.grid(lw=0.6)
    axis.set_axisbelow(True)
