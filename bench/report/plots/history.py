"""A gate's value over the runs of one machine, with its levels and its steps."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.report.history.series import Series
from bench.report.plots.style import colour, new_figure, styled

LABELS = 6  # commits named below the axis
FACES = {"PASS": "card", "FAIL": "lost", "UNSURE": "orange"}


def over_commits(series: Series) -> Figure:
    """Runs in the order in which they were added, with intervals; a thick line is a level, a
    dashed one the bound. A hollow mark passed, a filled one did not. A dotted line stands in front
    of a run in which an arm spends another budget."""
    runs = series.runs
    with styled():
        figure, (axis,) = new_figure(2.9)
        for place, run in enumerate(runs):
            if run.low is not None and run.high is not None:
                axis.plot([place] * 2, [run.low, run.high], color=colour("soft"), lw=1, alpha=0.7)
            ink = colour("blue" if run.outcome == "PASS" else FACES[run.outcome])
            axis.plot(place, run.value, "o", ms=5, mec=ink, mfc=colour(FACES[run.outcome]), mew=1.4)
            if run.changes:
                axis.axvline(place - 0.5, color=colour("soft"), lw=1, ls=(0, (1, 2)), zorder=1)
                axis.annotate(
                    "budget", (place - 0.5, 0.0), xycoords=("data", "axes fraction"),
                    xytext=(3, 3), textcoords="offset points", fontsize=8.5, color=colour("soft"),
                )  # fmt: skip
        for level in series.levels:
            axis.plot(
                [level.start - 0.4, level.stop - 0.6], [series.level_value(level)] * 2,
                color=colour("blue"), lw=4, alpha=0.35, solid_capstyle="butt", zorder=1,
            )  # fmt: skip
        for level, (_, text) in zip(series.levels[1:], series.steps, strict=True):
            axis.axvline(level.start - 0.5, color=colour("lost"), lw=1, ls=(0, (2, 2)), zorder=1)
            axis.annotate(
                text, (level.start - 0.5, 1.0), xycoords=("data", "axes fraction"),
                xytext=(3, -2), textcoords="offset points", va="top", color=colour("lost"),
                fontsize=9.5, fontweight="bold",
            )  # fmt: skip
        if runs[-1].bound is not None:
            axis.axhline(runs[-1].bound, color=colour("soft"), lw=0.9, ls=(0, (5, 3)), zorder=0)
            axis.annotate(
                "bound", (0, runs[-1].bound), xycoords=("axes fraction", "data"), xytext=(3, 2),
                textcoords="offset points", ha="left", fontsize=8.5, color=colour("soft"),
            )  # fmt: skip
        every = -(-len(runs) // LABELS)
        places = range(0, len(runs), every)
        axis.set_xticks(places, [runs[place].label for place in places])
        axis.set_xlim(-0.6, len(runs) - 0.4)
        axis.yaxis.set_major_locator(MaxNLocator(5))
        axis.margins(y=0.15)
        axis.set_ylabel("ratio to dense" if series.relative else "value")
        axis.set_title(series.gate)
        if series.settings:
            axis.set_xlabel(series.settings)
        axis.grid(axis="y", lw=0.6)
        axis.set_axisbelow(True)
    return figure
