"""`cost`: counted FLOPs, bytes and launches."""

from typing import Annotated

import typer

from bench.cli.options import command_line, leave

app = typer.Typer()


@app.command()
def cost(
    regen: Annotated[
        bool, typer.Option("--regen", help="Rewrite the recorded costs; refused under CI=true.")
    ] = False,
) -> None:
    """Gate on counted cost: FLOPs, bytes and launches of LLaVA-1.5-7B, without a GPU or weights.

    Example: python -m bench cost
    """
    from bench.gates.cost import cost_gate, rewrite_for_review
    from bench.report import print_verdicts

    if regen:
        rewrite_for_review()
        return
    verdicts = cost_gate(reproduce=command_line())
    print_verdicts(verdicts, title="cost")
    leave(verdicts)
