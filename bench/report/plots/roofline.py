"""Each stage under the machine's roof: how fast it works, and how fast it could at best.

Williams S., Waterman A., Patterson D. (2009), Roofline, https://doi.org/10.1145/1498765.1498785.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.cost.roofline import Ceiling
from bench.report.plots.style import arm_looks, colour, new_figure, plain_numbers, styled, with_unit
from bench.report.timing import Timing

STAGE_MARKERS = {"prefill": "o", "decode": "^", "answer": "s"}
ASIDE = 1.07  # factor between arms that do the same work, so that no mark hides another


def roofline(rows: Sequence[Timing], *, case: str) -> Figure | None:
    """Achieved FLOP/s (median) over FLOPs a byte, both logarithmic; a thin line leads up to the
    floor that counting allows. None if no row of the case knows its work and its machine."""
    shown = [
        row
        for row in rows
        if row.case == case and row.floor is not None and row.floor.ceiling and row.floor.flops
    ]
    if not shown:
        return None
    ceiling = shown[0].floor.ceiling if shown[0].floor is not None else None
    assert ceiling is not None
    with styled():
        figure, (axis,) = new_figure(4.3)
        points = [_point(row) for row in shown]
        _roof(axis, ceiling, [x for x, _, _ in points], [y for _, y, _ in points])
        looks = arm_looks(list(dict.fromkeys(row.arm for row in shown)))
        aside = {arm: ASIDE ** (n - (len(looks) - 1) / 2) for n, arm in enumerate(looks)}
        for row, (intensity, y, best) in zip(shown, points, strict=True):
            ink, _ = looks[row.arm]
            x = intensity * aside[row.arm]
            axis.plot([x, x], [y, best], color=ink, lw=1, alpha=0.6)
            axis.plot([x], [best], marker="_", ms=8, color=ink)
            axis.plot(
                [x], [y], marker=STAGE_MARKERS.get(row.stage, "D"), ms=8, color=ink, lw=0,
                mec=colour("card"), mew=0.8,
            )  # fmt: skip
        axis.set_xlabel("FLOPs a byte moved")
        axis.set_ylabel("FLOP/s")
        axis.set_title(f"roofline, {case}" if case else "roofline")
        stages = list(dict.fromkeys(row.stage for row in shown))
        _legend(axis, {arm: ink for arm, (ink, _) in looks.items()}, stages)
    return figure


def _point(row: Timing) -> tuple[float, float, float]:
    """FLOPs a byte, FLOP/s reached, and FLOP/s if the stage took no longer than its floor."""
    assert row.floor is not None
    work = row.floor
    return (
        work.flops / work.moved_bytes,
        work.flops / (1e-3 * row.p50_ms),
        work.flops / work.seconds,
    )


def _roof(axis: Axes, ceiling: Ceiling, xs: Sequence[float], ys: Sequence[float]) -> None:
    ridge = ceiling.flops_per_s / ceiling.bytes_per_s
    left, right = min(*xs, ridge) / 2, max(*xs, ridge) * 4
    slope = np.array([left, ridge])
    axis.plot(slope, slope * ceiling.bytes_per_s, color=colour("text"), lw=1.4)
    axis.plot([ridge, right], [ceiling.flops_per_s] * 2, color=colour("text"), lw=1.4)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(left, right)
    axis.set_ylim(min(ys) / 2.5, ceiling.flops_per_s * 2.5)
    axis.annotate(
        f"compute: {with_unit(ceiling.flops_per_s, 'FLOP/s')}",
        (right, ceiling.flops_per_s), xytext=(0, 4), textcoords="offset points",
        ha="right", va="bottom", fontsize=9.5, color=colour("soft"),
    )  # fmt: skip
    axis.annotate(
        f"memory: {with_unit(ceiling.bytes_per_s, 'B/s')}",
        (left, left * ceiling.bytes_per_s), xytext=(14, 0), textcoords="offset points",
        ha="left", va="center", fontsize=9.5, color=colour("soft"),
    )  # fmt: skip
    for side in (axis.xaxis, axis.yaxis):
        plain_numbers(side)
    axis.grid(lw=0.6)
    axis.set_axisbelow(True)


def _legend(axis: Axes, inks: dict[str, str], stages: Sequence[str]) -> None:
    entries: list[Any] = [
        Line2D([], [], color=ink, marker="o", ms=7, lw=0, label=arm) for arm, ink in inks.items()
    ]
    entries += [
        Line2D([], [], color=colour("soft"), marker=STAGE_MARKERS.get(stage, "D"), ms=7, lw=0,
               label=stage)
        for stage in stages
    ]  # fmt: skip
    axis.legend(handles=entries, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3,
                handletextpad=0.2, columnspacing=1.2)  # fmt: skip
