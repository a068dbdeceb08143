"""`cost`: counted FLOPs, bytes, launches and memory."""

from pathlib import Path
from typing import Annotated

import typer

from bench.arms.weights import Weights
from bench.base.errors import UserError
from bench.cli.heeded import demand_heeded
from bench.cli.options import (
    ArmOption,
    MethodKeepOption,
    WeightsOption,
    WorkDirOption,
    budget,
    command_line,
    report_records,
)

app = typer.Typer()


@app.command()
def cost(
    context: typer.Context,
    regen: Annotated[
        bool, typer.Option("--regen", help="Rewrite the recorded costs; refused under CI=true.")
    ] = False,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="Judge nothing; predict the time of each stage on h100, h200, a100, 4090 or a "
            ".toml file like bench/cost/gpus.toml, and name the wall it stands against. Of every "
            "arm, or of --method beside dense."
        ),
    ] = None,
    chosen_arm: ArmOption = None,
    keep: MethodKeepOption = None,
    weights: WeightsOption = Weights.RANDOM,
    work_dir: WorkDirOption = Path("outputs"),
) -> None:
    """Gate on counted cost: FLOPs, bytes, launches and peak memory of LLaVA-1.5-7B, without a GPU.

    Counted on the model's true shape without any weights, so --weights can only be random.

    With --method one arm beside dense. Where there is no record of it, as of your own method, it is
    counted and shown, and nothing is judged: UNSURE.

    Examples: python -m bench cost --gpu h100
              python -m bench cost --method mine.py:Mine --keep 64
              python -m bench cost --gpu h100 --method divprune --keep 36
    """
    from bench.gates.cost import arm_cost, cost_gate, print_predictions, rewrite_for_review
    from bench.report.terminal import print_verdicts

    if weights is not Weights.RANDOM:
        raise UserError("costs are counted without weights: leave out --weights")
    if gpu is not None and regen:
        raise UserError("--gpu judges and records nothing: give it without --regen")
    if gpu is not None:
        demand_heeded(context, "cost --gpu")
        if chosen_arm is None:
            demand_heeded(context, "records of all")
        print_predictions(gpu, chosen_arm, budget(keep))
        return
    if regen:
        demand_heeded(context, "--regen")
        rewrite_for_review()
        return
    if chosen_arm is None:
        demand_heeded(context, "records of all")
        verdicts = cost_gate(reproduce=command_line())
    else:
        verdicts = arm_cost(chosen_arm, budget(keep), reproduce=command_line())
    print_verdicts(verdicts, title="cost")
    report_records(context, verdicts, "cost", work_dir=work_dir, arm=chosen_arm, keep=keep)
