"""`methods`: what there is beside DyMU and FastV."""

import typer

app = typer.Typer()


@app.command()
def methods() -> None:
    """List the reduction methods that an arm can be: name, place, budget, paper, rule.

    Example: python -m bench methods
    """
    from rich.console import Console

    from bench.arms.methods import described
    from bench.base.tables import print_table

    rows = [[each.name, each.place, each.budget, each.paper, each.rule] for each in described()]
    print_table(Console(), "methods", ("name", "acts", "--keep is", "paper", "rule"), rows)
