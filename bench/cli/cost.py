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
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="llava-1.5-7b, llava-next-7b, qwen2.5-vl-7b or qwen2.5-vl-3b. If not given, the "
            "records of all are judged, and one method or a GPU's times are LLaVA-1.5's.",
        ),
    ] = None,
    chosen_arm: ArmOption = None,
    keep: MethodKeepOption = None,
    weights: WeightsOption = Weights.RANDOM,
    work_dir: WorkDirOption = Path("outputs"),
) -> None:
    """Gate on counted cost: FLOPs, bytes, launches and peak memory at true shape, without a GPU.

    Counted without any weights, so --weights can only be random.

    LLaVA-1.5-7B; and LLaVA-NeXT-7B, Qwen2.5-VL-7B and -3B with an image of 672 x 672.

    With --method one arm beside dense. Where there is no record of it, as of your own method, it is
    counted and shown, and nothing is judged: UNSURE.

    Examples: python -m bench cost --gpu h100
              python -m bench cost --method mine.py:Mine --keep 64
              python -m bench cost --gpu h100 --method divprune --keep 36
              python -m bench cost --gpu h100 --model qwen2.5-vl-7b
    """
    from bench.cost.models import LLAVA, MODELS, model_of
    from bench.gates.cost import arm_cost, cost_gate, print_predictions, rewrite_for_review
    from bench.report.terminal import print_verdicts

    if weights is not Weights.RANDOM:
        raise UserError("costs are counted without weights: leave out --weights")
    one = LLAVA if model is None else model_of(model)
    several = MODELS if model is None else (one,)
    if gpu is not None and regen:
        raise UserError("--gpu judges and records nothing: give it without --regen")
    if gpu is not None:
        demand_heeded(context, "cost --gpu")
        if chosen_arm is None:
            demand_heeded(context, "records of all")
        print_predictions(gpu, one, chosen_arm, budget(keep))
        return
    if regen:
        demand_heeded(context, "--regen")
        rewrite_for_review(several)
        return
    if chosen_arm is None:
        demand_heeded(context, "records of all")
        verdicts = cost_gate(several, reproduce=command_line())
    else:
        verdicts = arm_cost(chosen_arm, budget(keep), one, reproduce=command_line())
    print_verdicts(verdicts, title="cost")
    report_records(
        context, verdicts, "cost", work_dir=work_dir, arm=chosen_arm, keep=keep, model=model
    )
