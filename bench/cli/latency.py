"""`latency`: the latency gate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.arms.weights import Weights
from bench.cli.heeded import demand_heeded
from bench.cli.options import (
    ArmOption,
    DtypeOption,
    KeepOption,
    ProfileOption,
    ThresholdsOption,
    WeightsOption,
    WorkDirOption,
    command_line,
    given_options,
    leave,
    method_settings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.gates.speed import Request
    from bench.timing.samples import Samples

app = typer.Typer()


@app.command()
def latency(
    context: typer.Context,
    profile: ProfileOption = "tiny",
    arm: ArmOption = None,
    keep: KeepOption = None,
    thresholds: ThresholdsOption = None,
    work_dir: WorkDirOption = Path("outputs"),
    weights: WeightsOption = Weights.CHECKPOINT,
    dtype: DtypeOption = None,
    budget: Annotated[
        float | None, typer.Option(min=1, help="Seconds a batch size; the profile's if not given.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="REV",
            help="Also time the hybrid of this git revision, in the same job, and say whether "
            "this checkout's is FASTER, SAME, SLOWER or UNSURE.",
        ),
    ] = None,
    smallest_effect: Annotated[
        float | None,
        typer.Option(
            help="The smallest difference to REV that matters, as a share (0.05); the "
            "profile's if not given."
        ),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Append what is found to this machine's history.")
    ] = False,
    aa: Annotated[
        bool,
        typer.Option(
            "--aa",
            help="Time the hybrid against itself and print today's noise floor; judges nothing.",
        ),
    ] = False,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="Changes nothing: timings are always taken anew. Accepted so "
            "that `nox -s accuracy latency -- --reuse` serves both.",
        ),
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Changes nothing here, as --reuse: it is the gate's.")
    ] = False,
) -> None:
    """Gate on latency: time dense, off, random and hybrid interleaved in one job.

    Ratios, never milliseconds: each is taken between arms that saw the same seconds of the same
    machine. An UNSURE one buys more samples up to --budget, then the exit code is 3.

    Is it within the profile's bounds to dense?

        python -m bench latency --keep 36

    Did my commit make it slower? Did my branch?

        python -m bench latency --against HEAD~1

        python -m bench latency --against main --smallest-effect 0.03 --budget 120

    Is a method of mine faster than dense? Its bounds are a key of the profile; without one the
    ratio is measured and the verdict UNSURE.

        python -m bench latency --method mine.py:Mine --keep 18

    What could this machine tell apart today?

        python -m bench latency --aa

    Does the 7B model keep its bounds here, without a download?

        python -m bench latency --profile llava-1.5-7b --weights random

    And Qwen2.5-VL? It has no bounds yet, so that verdicts are UNSURE, with their ratios.

        python -m bench latency --profile qwen2.5-vl-7b --weights random
    """
    from bench.arms.models import resolve_keep
    from bench.arms.needs import latency_minutes, prepare
    from bench.arms.profiles import load_profile
    from bench.base.atomic import write_atomically
    from bench.base.errors import UserError
    from bench.evaluation.runs.ranks import demand_alone
    from bench.gates.speed import Request, speed_gate
    from bench.report.benchmarks import benchmark_json
    from bench.report.history.store import append, history_file, read_entry
    from bench.report.origin import origin_here
    from bench.report.sweep.result import saved_sweep
    from bench.report.terminal import print_budgets, print_timings, print_verdicts
    from bench.report.write import write_report

    demand_alone()
    if aa and against is not None:
        raise UserError("--aa times this checkout against itself: leave out --against")
    if smallest_effect is not None and not 0 < smallest_effect < 1:
        raise UserError(f"--smallest-effect is {smallest_effect}: give a share, such as 0.05")
    if aa:
        demand_heeded(context, "latency --aa")
    elif against is None:
        demand_heeded(context, "latency of one revision")
    chosen = load_profile(profile, thresholds).in_dtype(dtype)
    kept = resolve_keep(keep, chosen)
    request = Request(
        profile=chosen,
        profile_name=profile,
        thresholds=thresholds,
        keep=kept,
        work_dir=work_dir,
        budget_s=budget,
        smallest_effect=smallest_effect,
        reproduce=command_line(),
        weights=weights,
        arm=arm,
    )
    prepare(
        chosen,
        [chosen.prompts] if weights is Weights.CHECKPOINT else [],
        weights=weights is Weights.CHECKPOINT,
        minutes=latency_minutes(len(request.batches), request.budget),
        work_dir=work_dir,
    )
    if aa:
        _noise_floor(request)
        return
    measured = speed_gate(request, against)
    print_timings(measured.timed, title=f"timings: an answer of {chosen.timing.new_tokens} tokens")
    _print_conditions(measured.samples)
    print()
    print_budgets(measured.budgets)
    print()
    of = "" if arm is None else f"{arm}, "
    print_verdicts(measured.verdicts, title=f"latency: {of}{profile}, keep {kept}")
    settings = {"profile": profile, "keep": str(kept)}
    if arm is not None:  # another series of `bench history`
        settings |= {"arm": arm} | method_settings(arm)
    if dtype is not None:
        settings["dtype"] = dtype
    if weights is Weights.RANDOM:  # likewise
        settings["weights"] = str(weights)
    write_report(
        work_dir,
        measured.verdicts,
        title="latency",
        timed=measured.timed,
        budgets=measured.budgets,
        settings=settings,
        options=given_options(context, without=("against",)),
        against=against,
        history=history_file(),
        samples=measured.samples,
        sweep=saved_sweep(work_dir / "sweep"),
    )
    if history:
        append(history_file(), read_entry(work_dir, "latency"))
    benchmarks = benchmark_json(measured.samples, origin_here(settings), measured.budgets)
    write_atomically(work_dir / "latency-benchmark.json", benchmarks)
    leave(measured.verdicts)


def _noise_floor(request: "Request") -> None:
    """Exit code 3 if the machine was too busy to say anything."""
    from rich.console import Console

    from bench.base.tables import print_line, print_table
    from bench.gates.noise import COLUMNS, noise_floor, verdict_line

    floors, samples = noise_floor(request)
    console = Console()
    title = f"noise floor: {request.timed} against itself, {request.budget:g} s a batch size"
    print_table(console, title, COLUMNS, [floor.cells() for floor in floors])
    _print_conditions(samples)
    busy = [taken.too_busy for taken in samples.values() if taken.too_busy]
    print_line(console, busy[0] if busy else verdict_line(floors, request.effect))
    raise typer.Exit(3 if busy else 0)


def _print_conditions(samples: "Mapping[str, Samples]") -> None:
    from rich.console import Console

    from bench.base.tables import print_line

    for case, taken in samples.items():
        print_line(Console(), f"conditions, {case}: {taken.described}")
