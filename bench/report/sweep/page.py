"""A sweep for people: one HTML page, its plots as SVG and PNG, its table as markdown and CSV."""

from pathlib import Path

from markupsafe import Markup

from bench.base.atomic import write_atomically
from bench.report.html import render
from bench.report.markdown import markdown_table
from bench.report.plots.style import inline_svg, plain_svg, png
from bench.report.plots.sweep import OVER, accuracy_against_latency, accuracy_over, latency_over
from bench.report.sweep.result import Sweep, as_csv, table


def write_sweep(folder: Path, sweep: Sweep, over: str = "tokens") -> list[Path]:
    """Writes `sweep.html`, its main plot as `.svg` and `.png`, its table as `.md` and `.csv`, and
    accuracy over a budget as `sweep-accuracy.svg` and `.png`; returns their paths.

    over: a name of `bench.report.plots.sweep.OVER`, the budget of the other plots.

    Raises UserError if one cannot be written.
    """
    main, other = accuracy_against_latency(sweep), accuracy_over(sweep, over)
    plots = [
        Markup(inline_svg(main, name="pareto", label="accuracy against latency")),
        Markup(inline_svg(other, name="accuracy", label=f"accuracy over {OVER[over].words}")),
        Markup(
            inline_svg(
                latency_over(sweep, over), name="latency", label=f"time over {OVER[over].words}"
            )
        ),
    ]
    columns, rows = table(sweep)
    page = render(
        "bench.report.sweep", "page.html.j2", sweep=sweep, plots=plots, columns=columns, rows=rows
    )
    contents = {
        "sweep.html": page.encode(),
        "sweep.svg": plain_svg(main),
        "sweep.png": png(main),
        "sweep-accuracy.svg": plain_svg(other),
        "sweep-accuracy.png": png(other),
        "sweep.md": "\n".join([*markdown_table(columns, rows), ""]).encode(),
        "sweep.csv": as_csv(sweep).encode(),
    }
    paths = [folder / name for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_atomically(path, content)
    return paths
