"""The latency gate of a profile: its arms on its own prompts, batch size by batch size."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bench.gates.latency import measure_until_decided
from bench.models import Answerer, arm_config, load_checkpoint
from bench.profiles import Profile
from bench.report import Timing, timings
from bench.tasks import load_task
from bench.timing.arms import answer_arm, ceiling_of, floors_of
from bench.timing.clock import clock_for
from bench.verdict import Verdict
from hybrid import Keep


def speed_gate(
    profile: Profile, keep: Keep, *, work_dir: Path, budget_s: float | None, reproduce: str
) -> tuple[list[Verdict], list[Timing]]:
    """Verdicts on every bound of the profile, and all timings beside their floors.

    Raises UserError if the profile has no bounds, or something could not be measured.
    """
    gate = profile.latency
    checkpoint = load_checkpoint(profile)
    # No answer may end early: every arm does the same number of steps.
    checkpoint.llava.generation_config.eos_token_id = None
    samples = load_task(profile.data.mmbench).samples
    verdicts: list[Verdict] = []
    timed: list[Timing] = []
    device = torch.device(profile.model.device)
    ceiling = ceiling_of(device, profile.model.threads)
    for batch, bounds in gate.bounds.items():
        chosen = samples[:batch]
        prompts, images = [s.prompt for s in chosen], [s.image() for s in chosen]
        answerers = {
            arm: Answerer(checkpoint, arm_config(arm, profile, keep)) for arm in ("dense", *bounds)
        }
        given = (prompts, images, gate.new_tokens)
        arms = {arm: answer_arm(answerer, *given) for arm, answerer in answerers.items()}
        floors = {
            arm: floors_of(answerer, *given, ceiling)
            for arm, answerer in answerers.items()
            if ceiling is not None
        }
        with _progress(f"latency, batch {batch}") as bar:
            job = bar.add_task(f"latency, batch {batch}", total=1.0, blocks=0)
            taken, judged = measure_until_decided(
                arms,
                bounds,
                budget_s=budget_s or gate.budget_s,
                clock=clock_for(device),
                threads=profile.model.threads,
                reproduce=reproduce,
                progress=partial(_advance, bar, job),
            )
        work_dir.mkdir(parents=True, exist_ok=True)
        taken.save(work_dir / f"latency-batch-{batch}.json")
        timed += timings(taken, floors, case=f"batch {batch}")
        verdicts += [replace(v, gate=f"batch-{batch}/{v.gate}") for v in judged]
    return verdicts, timed


def _advance(bar: Progress, job: TaskID, spent: float, blocks: int) -> None:
    bar.update(job, completed=spent, blocks=blocks)


def _progress(title: str) -> Progress:
    """A bar on a terminal, nothing in a log."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[blocks]} blocks"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
