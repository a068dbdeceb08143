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
        typer.Option(help="The one budget to try: a count, or a share to remove; several if none."),
    ] = None,
    work_dir: WorkDirOption = Path("outputs"),
) -> None:
    """Prove what every method promises, and show what it costs and keeps.

    Everything kept equals off; a sample alone answers as in a batch; dropping equals hiding, and
    caches equal reading again, over eight steps; each layer gets as many tokens as announced;
    positions stay; nothing it is handed is edited; the host never waits. On a small untrained model
    in float64, in some seconds. Whether it answers well is another question: the sweep's.

    Examples: python -m bench method check mine.py:Mine
              python -m bench method check divprune --keep 9
    """
    from rich.console import Console

    from bench.arms.own import demand_budgeted, method_settings_of
    from bench.base.progress import progress
    from bench.base.tables import print_line
    from bench.gates.method.check import method_gate
    from bench.gates.method.promises import PROMISES
    from bench.gates.method.shown import cost_of, picture_of
    from bench.report.terminal import print_budgets, print_verdicts
    from bench.report.write import write_report
    from hybrid import Keep

    arm, make = demand_budgeted(name)
    asked = None if keep is None else Keep.parse(keep, source="--keep")
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
    for line in picture_of(arm, make, asked):
        print_line(console, line)
    write_report(
        work_dir,
        verdicts,
        title="method",
        budgets=budgets,
        settings={"arm": arm, "keep": str(asked or "several")} | method_settings_of(arm),
    )
    leave(verdicts)


@method.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the class, such as LargestKeys.")],
    place: Annotated[
        Place,
        typer.Option(help="hand-over: in front of the language model; language: inside it."),
    ] = Place.LANGUAGE,
) -> None:
    """Write a method to start from into this folder, which the check finds in order.

    Example: python -m bench method new LargestKeys --place hand-over
    """
    from bench.gates.method.template import new_method

    path = new_method(name, place.value)
    print(f"written: {path}")
    print(f"next: python -m bench method check {path}:{name}")
