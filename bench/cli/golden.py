"""`golden`: the recorded positions, owners and masks."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.heeded import demand_heeded
from bench.cli.options import (
    ArmOption,
    MethodKeepOption,
    WorkDirOption,
    budget,
    command_line,
    report_records,
)

app = typer.Typer()


@app.command()
def golden(
    context: typer.Context,
    regen: Annotated[
        bool, typer.Option("--regen", help="Rewrite the goldens; refused under CI=true.")
    ] = False,
    chosen_arm: ArmOption = None,
    keep: MethodKeepOption = None,
    work_dir: WorkDirOption = Path("outputs"),
) -> None:
    """Compare positions, owners and pruning masks with the recorded ones.

    With --method those of one method. Where there is no record of it, as of your own, what it keeps
    of two images is drawn, and nothing is judged: UNSURE.

    Examples: python -m bench golden
              python -m bench golden --method mine.py:Mine --keep 72
    """
    from bench.arms.own import demand_budgeted
    from bench.gates.goldens import golden_gate, method_golden, regenerate_for_review
    from bench.report.terminal import print_verdicts

    if regen:
        demand_heeded(context, "--regen")
        regenerate_for_review()
        return
    if chosen_arm is None:
        demand_heeded(context, "records of all")
        verdicts = golden_gate(reproduce=command_line())
    else:
        name, make = demand_budgeted(chosen_arm)
        verdicts = method_golden(name, make, budget(keep), reproduce=command_line())
    print_verdicts(verdicts, title="goldens")
    report_records(context, verdicts, "golden", work_dir=work_dir, arm=chosen_arm, keep=keep)
