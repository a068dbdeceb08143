"""`method`: check a reduction method, or start one."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import WorkDirOption, command_line, leave

app = typer.Typer()
method = typer.Typer(
    no_args_is_help=True,
    help="Check that a reduction method keeps every method's promises, or start one of your own.",
)
app.add_typer(method, name="method")


class Place(StrEnum):
    """Where a new method acts."""

    TOWER = "tower"
    HAND_OVER = "hand-over"
    LANGUAGE = "language"


@method.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="METHOD", help="FILE.py:NAME, or a name that python -m bench methods lists."
        ),
    ],
    keep: Annotated[
        str | None,
        typer.Option(
            help="Budgets to try, with commas between: counts (9,18), shares to remove (0.7); "
            "several if not given."
        ),
    ] = None,
    work_dir: WorkDirOption = Path("outputs"),
) -> None:
    """Prove what every method promises, and show what it costs and keeps.

    Everything kept equals off; a sample alone answers as at each place of a batch; dropping equals
    hiding, and caches equal reading again, over eight steps; each layer gets as many tokens as
    announced, and the last one no more than the budget; positions stay; nothing it is handed is
    edited; the host never waits. On a small untrained model in float64, also behind a tower that
    merges, and on the embedded model, in some ten seconds. Whether it answers well is another
    question: the sweep's.

    Examples: python -m bench method check mine.py:Mine
              python -m bench method check divprune --keep 9,18
    """
    from rich.console import Console

    from bench.arms.own import demand_budgeted, method_settings_of
    from bench.base.progress import progress
    from bench.base.tables import print_line
    from bench.gates.method.check import method_gate
    from bench.gates.method.promises import PROMISES
    from bench.gates.method.shown import cost_of, pictures_of
    from bench.report.sweep.grid import parse_budgets
    from bench.report.terminal import print_budgets, print_verdicts
    from bench.report.write import write_report

    arm, make = demand_budgeted(name)
    asked = [] if keep is None else parse_budgets(keep)
    with progress(f"method {arm}", len(PROMISES)) as bar:
        done = iter(range(len(PROMISES)))
        verdicts = method_gate(
            arm,
            make,
            asked,
            reproduce=command_line(),
            progress=lambda promise: bar.reach(next(done), now=promise),
        )
    console = Console()
    print_verdicts(verdicts, title=f"method: {arm}", console=console)
    print_line(console, "")
    budgets, said = cost_of(arm, make, asked)
    print_line(console, said)
    print_budgets(budgets, console=console)
    for line in pictures_of(arm, make, asked):
        print_line(console, line)
    write_report(
        work_dir,
        verdicts,
        title="method",
        budgets=budgets,
        settings={"arm": arm, "keep": keep or "several"} | method_settings_of(arm),
    )
    leave(verdicts)


@method.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the class, such as LargestKeys.")],
    place: Annotated[
        Place,
        typer.Option(
            help="tower: merges in CLIP's blocks; hand-over: chooses in front of the language "
            "model; language: ranks inside it."
        ),
    ] = Place.LANGUAGE,
) -> None:
    """Write a method to start from into this folder, which the check finds in order.

    Examples: python -m bench method new LargestKeys --place hand-over
              python -m bench method new LargestKeys --place tower
    """
    from bench.gates.method.template import new_method

    path = new_method(name, place.value)
    print(f"written: {path}")
    print(f"next: python -m bench method check {path}:{name}")
