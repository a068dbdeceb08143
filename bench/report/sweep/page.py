"""A sweep for people: one HTML page, and its main plot as SVG and PNG."""

from pathlib import Path

from markupsafe import Markup

from bench.base.atomic import write_atomically
from bench.report.html import render
from bench.report.plots.style import inline_svg, plain_svg, png
from bench.report.plots.sweep import accuracy_against_latency, accuracy_against_tokens
from bench.report.sweep.result import COLUMNS, Sweep, pareto_front, point_cells


def write_sweep(folder: Path, sweep: Sweep) -> list[Path]:
    """Writes `sweep.html`, `sweep.svg` and `sweep.png`; returns their paths.

    Raises UserError if one cannot be written.
    """
    main, tokens = accuracy_against_latency(sweep), accuracy_against_tokens(sweep)
    front = pareto_front(sweep.points)
    plots = [
        Markup(inline_svg(main, name="pareto", label="accuracy against latency")),
        Markup(inline_svg(tokens, name="tokens", label="accuracy against kept visual tokens")),
    ]
    page = render(
        "bench.report.sweep",
        "page.html.j2",
        sweep=sweep,
        plots=plots,
        columns=COLUMNS,
        rows=[point_cells(point, on_front=point in front) for point in sweep.points],
    )
    contents = {"html": page.encode(), "svg": plain_svg(main), "png": png(main)}
    paths = [folder / f"sweep.{kind}" for kind in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_atomically(path, content)
    return paths
