"""`mutants`: planted defects, each of which must turn a gate red."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bench.base.errors import UserError
from bench.cli.heeded import demand_heeded
from bench.cli.options import WorkDirOption, command_line, leave

app = typer.Typer()


@app.command()
def mutants(
    context: typer.Context,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this mutant; may be repeated.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="GATE", help="Switch a gate off, such as golden; may be repeated."),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Name every mutant and its source, and run nothing.")
    ] = False,
    add: Annotated[
        str | None, typer.Option(metavar="FAMILY/NAME", help="Start a new mutant's file.")
    ] = None,
    repeat_clean: Annotated[
        int | None,
        typer.Option(min=1, help="Send only the unmutated code through, so many times."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Children at a time; the number of cores if not given")
    ] = None,
    work_dir: WorkDirOption = Path("outputs"),
) -> None:
    """Plant known defects one by one, and demand that a gate turns red for each.

    Example: python -m bench mutants --without golden
    """
    from rich.console import Console

    from bench.base.tables import print_line, print_table
    from bench.report.terminal import print_verdicts
    from bench.trust.mutants.mutant import load_mutants
    from bench.trust.mutants.template import add_mutant

    console = Console()
    if add is not None:
        demand_heeded(context, "mutants --add")
        path = add_mutant(add)
        print_line(console, f"{path}: fill in the docstring, target, old, new and source, then")
        print_line(console, f"python -m bench mutants --only {add}")
        return
    if listed:
        demand_heeded(context, "mutants --list")
    if repeat_clean is not None:
        demand_heeded(context, "mutants --repeat-clean")
    chosen = load_mutants(only or ())
    if listed:
        rows = [[n.name, n.mutant.target, n.what, n.mutant.source] for n in chosen]
        title = f"{len(rows)} mutants"
        print_table(console, title, ("mutant", "function", "what it does", "source"), rows)
        return
    try:
        from bench.trust.mutants.command import COLUMNS, cells, judge, unexpected, write_session
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        raise UserError(
            "the tests judge mutants, and pytest is missing: pip install -e '.[dev]' in a checkout"
        ) from error
    outcome = judge(
        chosen,
        without=without or (),
        repeat_clean=repeat_clean,
        jobs=jobs or os.cpu_count() or 1,
        reproduce=command_line(),
    )
    if outcome.results:
        rows = [[c[0], c[1], *c[2:]] for c in map(cells, outcome.results)]
        print_table(console, "mutants", COLUMNS, rows)
        for line in unexpected(outcome.results):
            print_line(console, line)
        title = f"{len(rows)} mutants, {outcome.seconds:.0f} seconds"
        page = write_session(work_dir, outcome.results, outcome.verdicts, title=title)
        print_line(console, f"written to {page}")
    print_verdicts(outcome.verdicts, title="mutants")
    leave(outcome.verdicts)
