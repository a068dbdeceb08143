"""`history`: runs of one machine over commits."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.heeded import demand_heeded

app = typer.Typer()
history = typer.Typer()
app.add_typer(history, name="history")

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", help="The history; $VLM_HYBRID_HISTORY or outputs/history.jsonl if not given."
    ),
]


@history.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    file: FileOption = None,
    machine: Annotated[
        str | None,
        typer.Option(help="Another machine's runs, by a part of its name; else this one's."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The HTML page; history.html beside the file if not given."),
    ] = None,
) -> None:
    """Print every gate's newest value and its steps, and draw them over commits.

    What each arm spends on a prompt stands below, with the runs in which that changed.

    Example: python -m bench history
    """
    if context.invoked_subcommand is not None:
        demand_heeded(context, "history add")
        return
    from rich.console import Console

    from bench.base.tables import print_line, print_table
    from bench.cost.spending import TITLE
    from bench.report.history.page import headline, write_history_page
    from bench.report.history.select import select
    from bench.report.history.series import COLUMNS, all_series, series_cells
    from bench.report.history.spent import COLUMNS as BUDGET_COLUMNS
    from bench.report.history.spent import all_spent
    from bench.report.history.store import history_file, read_history

    path = history_file(file)
    chosen = select(read_history(path), machine)
    series, spent = all_series(chosen.entries), all_spent(chosen.entries)
    console = Console()
    rows = [series_cells(one) for one in series]
    print_table(console, f"history: {headline(series)}", COLUMNS, rows)
    if spent:
        print_table(console, TITLE, BUDGET_COLUMNS, [one.cells for one in spent])
    for note in chosen.notes:
        print_line(console, note)
    page = output or path.with_name("history.html")
    write_history_page(page, series, spent, machine=chosen.machine, notes=chosen.notes)
    print_line(console, f"drawn in {page}")


@history.command()
def add(
    folder: Annotated[Path, typer.Argument(help="The --work-dir of a gate that was measured.")],
    file: FileOption = None,
) -> None:
    """Append what a gate found to the history.

    Example: python -m bench history add outputs
    """
    from bench.report.history.store import append, history_file, read_report

    path = history_file(file)
    for entry in read_report(folder):
        done = "added to" if append(path, entry) else "is already in"
        commit = (entry.origin.commit or "no commit")[:12]
        print(f"{entry.title} of {commit}, {entry.origin.time}, {done} {path}")
