"""`golden`: the recorded positions, owners and masks."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.heeded import demand_heeded
from bench.cli.options import WorkDirOption, command_line, leave

app = typer.Typer()


@app.command()
def golden(
    context: typer.Context,
    regen: Annotated[
        bool, typer.Option("--regen", help="Rewrite the goldens; refused under CI=true.")
    ] = False,
    work_dir: WorkDirOption = Path("outputs"),
) -> None:
    """Compare positions, owners and pruning masks with the recorded ones.

    Example: python -m bench golden
    """
    from bench.gates.goldens import golden_gate, regenerate_for_review
    from bench.report.history.store import history_file
    from bench.report.terminal import print_verdicts
    from bench.report.write import write_report

    if regen:
        demand_heeded(context, "--regen")
        regenerate_for_review()
        return
    verdicts = golden_gate(reproduce=command_line())
    print_verdicts(verdicts, title="goldens")
    write_report(work_dir, verdicts, title="golden", history=history_file())
    leave(verdicts)
