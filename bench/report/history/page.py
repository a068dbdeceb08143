"""The history as one HTML file: steps first, then a plot for each series."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from bench.base.atomic import write_atomically
from bench.cost import spending
from bench.report.history.series import COLUMNS, Series, series_cells
from bench.report.history.spent import COLUMNS as BUDGET_COLUMNS
from bench.report.history.spent import Spent
from bench.report.history.steps import ALARM
from bench.report.html import render
from bench.report.plots.history import over_commits
from bench.report.plots.style import inline_svg


def write_history_page(
    path: Path,
    series: Sequence[Series],
    spent: Sequence[Spent],
    *,
    machine: Mapping[str, str],
    notes: Sequence[str],
) -> None:
    """Raises UserError if the file cannot be written."""
    steps = [
        (one.gate, text, run.label, run.origin.time[:10], run.changes)
        for one in series
        for run, text in one.steps
    ]
    plots = [
        Markup(inline_svg(over_commits(one), name=f"history-{number}", label=f"{one.gate} by run"))
        for number, one in enumerate(series)
        if one.runs
    ]
    page = render(
        "bench.report.history",
        "page.html.j2",
        headline=headline(series),
        machine=machine,
        steps=steps,
        notes=notes,
        plots=plots,
        columns=COLUMNS,
        rows=[series_cells(one) for one in series],
        budget_title=spending.TITLE,
        budget_columns=BUDGET_COLUMNS,
        budgets=[one.cells for one in spent],
        alarm=f"{100 * ALARM:g}%",
    )
    write_atomically(path, page.encode())


def headline(series: Sequence[Series]) -> str:
    """`2 steps in 12 series`."""
    steps = sum(len(one.steps) for one in series)
    return f"{steps or 'no'} step{'' if steps == 1 else 's'} in {len(series)} series"
