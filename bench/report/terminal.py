"""Verdicts, timings and scores on a terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from bench.base.checkout import git, is_changed
from bench.base.tables import print_line, print_table
from bench.base.verdict import Outcome, Verdict
from bench.cost.spending import TITLE, Budget
from bench.report.cells import (
    BUDGET_COLUMNS,
    SCORE_COLUMNS,
    TIMING_COLUMNS,
    VERDICT_COLUMNS,
    budget_rows,
    metric_cells,
    timing_cells,
    unique,
    verdict_cells,
)
from bench.report.origin import revision
from bench.report.timing import Timing
from bench.tasks.task import Score

COLOURS = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.UNSURE: "yellow"}


def print_verdicts(
    verdicts: Sequence[Verdict], *, title: str, console: Console | None = None
) -> None:
    """A table, and how to reproduce what did not pass. Plain aligned text if no terminal."""
    rows = [verdict_cells(verdict) for verdict in verdicts]
    colours = [COLOURS[verdict.outcome] for verdict in verdicts]
    console = console or Console()
    print_table(console, title, VERDICT_COLUMNS, rows, colours)
    for command in unique(v.reproduce for v in verdicts if v.outcome is not Outcome.PASS):
        print_line(console, f"reproduce: {command}")
    print_line(console, f"code: {revision(git('rev-parse', 'HEAD'), dirty=is_changed())}")


def print_timings(rows: Sequence[Timing], *, title: str, console: Console | None = None) -> None:
    """A table. Plain aligned text if no terminal."""
    cells = [timing_cells(row) for row in rows]
    print_table(console or Console(), title, TIMING_COLUMNS, cells)


def print_budgets(budgets: Mapping[str, Budget | None], *, console: Console | None = None) -> None:
    """What each arm spends; None was not recorded. Plain aligned text if no terminal."""
    print_table(console or Console(), TITLE, BUDGET_COLUMNS, budget_rows(budgets))


def print_score(score: Score, *, title: str, console: Console | None = None) -> None:
    """Every metric and category with its standard error, and the recipe that they hold for."""
    rows = [metric_cells("", name, metric) for name, metric in score.metrics.items()]
    for level, table in score.categories.items():
        rows += [metric_cells(level, name, metric) for name, metric in table.items()]
    console = console or Console()
    print_table(console, title, SCORE_COLUMNS, rows)
    recipe = ", ".join(f"{key} {value}" for key, value in score.recipe.items())
    print_line(console, f"{score.samples} answers, {score.unreadable} unreadable; {recipe}")
