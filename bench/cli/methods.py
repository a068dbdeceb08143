"""`methods`: what an arm can be."""

import typer

app = typer.Typer()


@app.command()
def methods() -> None:
    """List the reduction methods that an arm can be: name, place, budget, paper, rule.

    `hybrid` is dymu and fastv, one behind the other; a method of your own is FILE.py:NAME.

    Example: python -m bench methods
    """
    from rich.console import Console

    from bench.arms.methods import described
    from bench.base.tables import print_table

    rows = [[each.name, each.place, each.budget, each.paper, each.rule] for each in described()]
    print_table(Console(), "methods", ("name", "acts", "--keep is", "paper", "rule"), rows)
