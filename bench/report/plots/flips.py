"""What was lost and what was gained, category by category."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from bench.report.evidence import FlipCounts
from bench.report.plots.style import colour, new_figure, styled

MOST = 24  # categories: MMBench has 20


def flips_by_category(rows: Sequence[FlipCounts], *, level: str) -> Figure | None:
    """Bars to the left for lost, to the right for gained; most flips first. None without flips."""
    flipped = [row for row in rows if row.lost or row.gained]
    if not flipped:
        return None
    flipped.sort(key=lambda row: (row.gained - row.lost, -row.lost, row.category))
    shown, unflipped = flipped[:MOST], len(rows) - len(flipped)
    most = max(max(row.lost, row.gained) for row in shown)
    with styled():
        figure, (axis,) = new_figure(0.44 * len(shown) + 1.0)
        places = range(len(shown))
        axis.barh(places, [-row.lost for row in shown], 0.34, color=colour("lost"))
        axis.barh(places, [row.gained for row in shown], 0.34, color=colour("gained"))
        for place, row in zip(places, shown, strict=True):
            axis.annotate(
                f"{row.category} ({row.n})",
                (0.0, place - 0.3),
                xycoords=("axes fraction", "data"),
                va="bottom",
                fontsize=9.5,
            )
            for count, side, name in ((row.lost, -1, "lost"), (row.gained, 1, "gained")):
                if count:
                    axis.annotate(
                        str(count),
                        (side * count, place),
                        xytext=(4 * side, 0),
                        textcoords="offset points",
                        ha="right" if side < 0 else "left",
                        va="center",
                        fontsize=9.5,
                        color=colour(name),
                    )
        axis.axvline(0, color=colour("soft"), lw=0.8)
        axis.set_xlim(-1.25 * most, 1.25 * most)
        axis.set_ylim(len(shown) - 0.5, -0.85)
        axis.set_yticks([])
        axis.set_xticks([])
        for spine in ("left", "bottom"):
            axis.spines[spine].set_visible(False)
        axis.set_title("lost", loc="left", color=colour("lost"))
        axis.set_title(level, loc="center", color=colour("text"))
        axis.set_title("gained", loc="right", color=colour("gained"))
        rest = [f"{unflipped} more without a flip"] if unflipped else []
        rest += [f"{len(flipped) - MOST} more with fewer"] if len(flipped) > MOST else []
        axis.set_xlabel("; ".join(["questions (of how many)", *rest]))
    return figure
