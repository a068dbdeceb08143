"""Commands that judge: gate, latency, golden, cost, syncs."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import (
    DEFAULT_MATCHER,
    BatchOption,
    KeepOption,
    LimitOption,
    MatcherOption,
    ProfileOption,
    ReuseOption,
    ThresholdsOption,
    VerboseOption,
    WorkDirOption,
    command_line,
    leave,
)
from bench.errors import UserError

app = typer.Typer()


@app.command()
def gate(
    profile: ProfileOption = "tiny",
    keep: KeepOption = None,
    thresholds: ThresholdsOption = None,
    work_dir: WorkDirOption = Path("outputs"),
    reuse: ReuseOption = False,
    verbose: VerboseOption = False,
    limit: LimitOption = None,
    batch_size: BatchOption = None,
    matcher: MatcherOption = DEFAULT_MATCHER,
    arm: Annotated[str, typer.Option(help="The arm that is judged against dense.")] = "hybrid",
) -> None:
    """Gate on accuracy: dense and hybrid on MMBench and COCO, paired sample by sample.

    Example: python -m bench gate --keep 9
    """
    from bench.evaluate import Options
    from bench.gates.quality import quality_gate
    from bench.models import resolve_keep
    from bench.profiles import load_profile
    from bench.report import print_verdicts, write_report

    chosen = load_profile(profile, thresholds)
    kept = resolve_keep(keep, chosen)
    options = Options(work_dir, reuse, verbose, limit, batch_size, matcher)
    verdicts = quality_gate(chosen, arm, kept, options, reproduce=command_line())
    print_verdicts(verdicts, title=f"accuracy: {arm} against dense, {profile}, keep {kept}")
    write_report(work_dir, verdicts, title="accuracy")
    leave(verdicts)


@app.command()
def latency(
    profile: ProfileOption = "tiny",
    keep: KeepOption = None,
    thresholds: ThresholdsOption = None,
    work_dir: WorkDirOption = Path("outputs"),
    budget: Annotated[
        float | None, typer.Option(min=1, help="Seconds a batch size; the profile's if not given.")
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="Changes nothing: timings are always taken anew. Accepted so "
            "that `nox -s accuracy latency -- --reuse` serves both.",
        ),
    ] = False,
) -> None:
    """Gate on latency: time hybrid, off and dense in one process, interleaved.

    Example: python -m bench latency --keep 36 --budget 120
    """
    from bench.gates.speed import speed_gate
    from bench.models import resolve_keep
    from bench.profiles import load_profile
    from bench.report import print_timings, print_verdicts, write_report

    chosen = load_profile(profile, thresholds)
    kept = resolve_keep(keep, chosen)
    verdicts, timed = speed_gate(
        chosen, kept, work_dir=work_dir, budget_s=budget, reproduce=command_line()
    )
    print_timings(timed, title=f"timings: an answer of {chosen.latency.new_tokens} tokens")
    print()
    print_verdicts(verdicts, title=f"latency: ratio to dense, {profile}, keep {kept}")
    write_report(work_dir, verdicts, title="latency", timed=timed)
    leave(verdicts)


@app.command()
def golden(
    regen: Annotated[
        bool, typer.Option("--regen", help="Rewrite the goldens; refused under CI=true.")
    ] = False,
) -> None:
    """Compare positions, owners and pruning masks with the recorded ones.

    Example: python -m bench golden
    """
    from bench.gates.goldens import golden_gate, regenerate_for_review
    from bench.report import print_verdicts

    if regen:
        regenerate_for_review()
        return
    verdicts = golden_gate(reproduce=command_line())
    print_verdicts(verdicts, title="goldens")
    leave(verdicts)


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


@app.command()
def syncs(
    model: Annotated[str, typer.Option(help="The model that is watched.")] = "tiny_hybrid",
    keep: KeepOption = None,
    static: Annotated[
        bool, typer.Option("--static", help="Only check the source of `hybrid`, run nothing.")
    ] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Print every wait with its stack, and judge nothing.")
    ] = False,
    compare: Annotated[
        str | None, typer.Option(help="Count another model's waits beside this one's.")
    ] = None,
) -> None:
    """Gate on waits of the host for the device: none before the answer is read back.

    Example: python -m bench syncs --model tiny_hybrid --compare tiny
    """
    from bench.gates.waits import NEW_TOKENS, static_verdict, waits_gate, watch
    from bench.models import resolve_keep
    from bench.profiles import load_profile, profile_of_model
    from bench.report import print_verdicts

    if static:
        verdicts = [static_verdict(reproduce=command_line())]
        print_verdicts(verdicts, title="waits")
        leave(verdicts)
    name, arm = profile_of_model(model)
    profile = load_profile(name)
    kept = resolve_keep(keep, profile)
    if trace:
        print(watch(profile, arm, kept, stack=True).text())
        return
    if compare is not None:
        for other in (model, compare):
            other_name, other_arm = profile_of_model(other)
            report = watch(load_profile(other_name), other_arm, kept)
            print(f"{other}: {report.count / NEW_TOKENS:.2f} waits a token\n{report.text()}\n")
        return
    if arm == "dense":
        raise UserError(f"{model} is transformers' own and has no ledger: use --trace or --compare")
    verdicts = waits_gate(profile, arm, kept, reproduce=command_line())
    print_verdicts(verdicts, title=f"waits: {model}, keep {kept}")
    leave(verdicts)
