"""How long the calls of each arm took: all of them, not only their median."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from bench.report.plots.style import arm_looks, colour, new_figure, styled
from bench.timing.samples import Samples

ROW = 0.46  # inches of an arm
DOTS = 200  # of a row at most, evenly spaced in time: more would only be ink


def latency_distributions(samples: Samples, *, case: str) -> Figure:
    """A panel a stage, a row an arm: density, every call as a dot, p50 as a line, p90 as a tick.

    Raises UserError for samples that are no durations.
    """
    marked = {arm: calls[0] for block in samples.blocks for arm, calls in block.items()}
    stages = list(dict.fromkeys(stage for call in marked.values() for stage in call))
    milliseconds = {
        stage: {
            arm: 1e3 * samples.seconds(arm, stage).ravel()
            for arm, call in marked.items()
            if stage in call
        }
        for stage in stages
    }
    with styled():
        height = sum(ROW * len(rows) + 0.62 for rows in milliseconds.values())
        ratios = [ROW * len(rows) + 0.2 for rows in milliseconds.values()]
        figure, axes = new_figure(height, rows=len(stages), gridspec_kw={"height_ratios": ratios})
        for axis, (stage, rows) in zip(axes, milliseconds.items(), strict=True):
            unit = "ms a token" if stage == "decode" else "ms"
            _panel(axis, rows, title=f"{stage}, {case}" if case else stage, unit=unit)
    return figure


def _panel(axis: Axes, rows: dict[str, NDArray[np.float64]], *, title: str, unit: str) -> None:
    looks = arm_looks(list(rows))
    left, right = _span(list(rows.values()))
    beyond = 0
    for row, (arm, values) in enumerate(rows.items()):
        ink, _ = looks[arm]
        beyond += int((values > right).sum())
        _half_violin(axis, values, row, ink, (left, right))
        _dots(axis, values[:: -(-len(values) // DOTS)], row, ink)
        p50, p90 = np.quantile(values, [0.5, 0.9])
        axis.plot([p50, p50], [row - 0.42, row + 0.3], color=ink, lw=2, solid_capstyle="butt")
        axis.plot([p90, p90], [row + 0.04, row + 0.3], color=ink, lw=1.4, solid_capstyle="butt")
        axis.annotate(
            f"{p50:.3g}, p90 {p90:.3g}",
            (1.01, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9.5,
        )
    axis.set_xlim(left, right)
    axis.set_ylim(len(rows) - 0.55, -0.6)
    axis.set_yticks(range(len(rows)), list(rows), color=colour("text"))
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", lw=0.6)
    axis.set_axisbelow(True)
    calls = "call" if beyond == 1 else "calls"
    axis.set_xlabel(f"{unit}; {beyond} slower {calls} not shown" if beyond else unit)
    axis.set_title(title)


def _span(rows: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """An axis on which all calls lie but the few that took far longer than the others."""
    low = min(float(values.min()) for values in rows)
    high = 0.0
    for values in rows:
        p10, p90 = np.quantile(values, [0.1, 0.9])
        high = max(high, min(float(values.max()), float(p90 + 1.5 * (p90 - p10))))
    pad = 0.06 * (high - low) or 0.05 * high
    return max(low - pad, 0.0), high + pad


def _half_violin(
    axis: Axes, values: NDArray[np.float64], row: int, ink: str, span: tuple[float, float]
) -> None:
    """The density above the row's line, its top the same height in each row."""
    logs = np.log(values)
    if len(values) < 3 or float(np.ptp(logs)) == 0:
        return
    grid = np.linspace(max(span[0], float(values.min())), min(span[1], float(values.max())), 160)
    density = gaussian_kde(logs)(np.log(grid)) / grid
    top = row - 0.4 * density / density.max()
    axis.fill_between(grid, row, top, color=ink, alpha=0.28, lw=0)
    axis.plot(grid, top, color=ink, lw=1)


def _dots(axis: Axes, values: Sequence[float] | NDArray[np.float64], row: int, ink: str) -> None:
    """In order of time from top to bottom, so that a drift shows as a slant."""
    heights = row + 0.08 + 0.18 * np.arange(len(values)) / max(len(values) - 1, 1)
    axis.scatter(values, heights, s=5, color=ink, alpha=0.45, lw=0)
