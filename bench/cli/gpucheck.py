"""`gpu-check`: what only a GPU can show."""

from pathlib import Path
from typing import Annotated

import typer

from bench.arms.weights import Weights
from bench.base.errors import UserError
from bench.cli.options import WeightsOption, command_line

app = typer.Typer()
PROFILE = "llava-1.5-7b"
STAND_IN = "llava_v1.5_7b_hybrid"


@app.command(name="gpu-check")
def gpu_check(
    weights: WeightsOption = Weights.RANDOM,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the numbers go; measured/<device>.json if not given."),
    ] = None,
    budget: Annotated[
        float, typer.Option(min=60, help="Seconds in all, the model's loading aside.")
    ] = 520,
    part: Annotated[
        list[str] | None,
        typer.Option(help="Only this part, repeatable; a wrong name lists them. Default: all."),
    ] = None,
    afresh: Annotated[
        bool, typer.Option("--afresh", help="Measure again what the file already holds.")
    ] = False,
) -> None:
    """Measure on a GPU what only a GPU can show, at LLaVA-1.5-7B's shape, within ten minutes.

    Waits, by back-pressure; graph replay against eager; latency of dense, and of every reduction
    eager and graphed, beside its floor; memory; kernels. Each number is written as soon as its part
    is done, and judged by the targets: 0 all met, 1 missed, 2 something was not measured, 3 unsure.
    Called again, it measures what is missing in the file, if code, model and machine are the same.

    Example: python -m bench gpu-check --out h100.json
    """
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            "gpu-check measures what only a GPU can show, and torch sees no CUDA device: run it on"
            " a machine with one and a CUDA build of torch"
        )
    from bench.arms.needs import prepare
    from bench.arms.profiles import load_profile
    from bench.gates.gpucheck.check import check, device_name, results_file, show
    from bench.gates.gpucheck.parts import named_parts
    from bench.gates.gpucheck.subject import checked_on_gpu
    from bench.gates.gpucheck.targets import exit_code
    from bench.gates.sync.subjects import subject
    from bench.report.origin import origin_here
    from bench.timing.case import timed_model

    wanted = named_parts(part)
    profile = load_profile(PROFILE)
    path = out or results_file(device_name(torch.device("cuda")))
    minutes = budget / 60
    random = weights is Weights.RANDOM
    prepare(profile, weights=not random, minutes=minutes, work_dir=path.parent)
    llava = timed_model(profile, weights).llava
    stand_in = subject(STAND_IN, str(profile.reduction.keep), device="cuda")
    checked = checked_on_gpu(llava, profile, stand_in, command_line())
    origin = origin_here({"profile": PROFILE, "weights": str(weights)})
    document = check(
        checked,
        wanted,
        path,
        origin=origin,
        weights=str(weights),
        budget_s=budget,
        afresh=afresh,
    )
    rows = show(document)
    print(f"written to {path}")
    raise typer.Exit(exit_code(rows))
