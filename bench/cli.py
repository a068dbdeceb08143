"""`python -m bench ...`: run, score, gate, latency, golden, syncs.

Exit codes: 0 pass, 1 a gate failed, 2 wrong usage, data or environment, 3 unsure.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import UserError
from hybrid.config import ConfigError

if TYPE_CHECKING:
    from bench.verdict import Verdict

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Run, score, time and gate LLaVA-1.5 with reduced visual tokens. "
    "Exit codes: 0 pass, 1 a gate failed, 2 usage, data or environment, 3 unsure.",
)

ProfileOption = Annotated[str, typer.Option(help="A profile's name, or a .toml file.")]
KeepOption = Annotated[
    str | None,
    typer.Option(
        help="Visual tokens FastV keeps: a count (36), a share to remove (0.7), or none. "
        "Comes before FASTV_K, which comes before the profile."
    ),
]
ThresholdsOption = Annotated[
    str | None,
    typer.Option(
        help="Merging thresholds: a file by python -m hybrid.calibrate, or 72out. "
        "Comes before the profile."
    ),
]
WorkDirOption = Annotated[Path, typer.Option(help="Where runs and reports are written.")]
ReuseOption = Annotated[
    bool, typer.Option("--reuse", help="Continue the runs in --work-dir instead of starting anew.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Print each answer as it comes.")]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Only the first so many questions or images.")
]
BatchOption = Annotated[
    int | None, typer.Option(min=1, help="Samples at a time; the profile's if not given.")
]
MatcherOption = Annotated[
    str,
    typer.Option(
        help="How options are read from answers: vlmevalkit-2025-04, "
        "vlmevalkit-2026-06 or lmms-2024."
    ),
]
DEFAULT_MATCHER = "vlmevalkit-2025-04"


@app.command()
def run(
    data: Annotated[
        str,
        typer.Option(
            help="tiny-mmbench, tiny-coco, MMBench_DEV_EN, COCO_VAL, "
            "or a .tsv file in VLMEvalKit's columns."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="tiny or llava_v1.5_7b (dense), or that followed by "
            "_off, _dymu, _fastv, _hybrid, _random, _lowest, "
            "_compact."
        ),
    ],
    keep: KeepOption = None,
    thresholds: ThresholdsOption = None,
    work_dir: WorkDirOption = Path("outputs"),
    reuse: ReuseOption = False,
    verbose: VerboseOption = False,
    limit: LimitOption = None,
    batch_size: BatchOption = None,
    matcher: MatcherOption = DEFAULT_MATCHER,
) -> None:
    """Let a model answer a data set, and score the answers.

    Example: python -m bench run --data tiny-mmbench --model tiny_hybrid --keep 36
    """
    from bench.evaluate import Options, describe, evaluate, open_task
    from bench.models import arm_config, load_checkpoint, resolve_keep
    from bench.profiles import load_profile, profile_of_model
    from bench.report import print_score

    name, arm = profile_of_model(model)
    profile = load_profile(name, thresholds)
    kept = resolve_keep(keep, profile)
    options = Options(work_dir, reuse, verbose, limit, batch_size, matcher)
    task = open_task(data, options)
    folder, score = evaluate(load_checkpoint(profile), profile, arm, kept, task, options)
    print_score(score, title=f"{model} on {task.name}: {describe(arm_config(arm, profile, kept))}")
    print(f"written to {folder}")


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="VLMEvalKit's .xlsx, or predictions.jsonl.")],
    data: Annotated[str | None, typer.Option(help="The data that a .jsonl answers.")] = None,
    matcher: MatcherOption = DEFAULT_MATCHER,
) -> None:
    """Score a file of predictions, without a model.

    Example: python -m bench score llava_v1.5_7b_MMBench_DEV_EN.xlsx
    """
    from bench.report import print_score
    from bench.tasks import score_file

    print_score(score_file(file, data=data, matcher=matcher), title=str(file))


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
    verdicts = quality_gate(chosen, arm, kept, options, reproduce=_command_line())
    print_verdicts(verdicts, title=f"accuracy: {arm} against dense, {profile}, keep {kept}")
    write_report(work_dir, verdicts, title="accuracy")
    _exit(verdicts)


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
        chosen, kept, work_dir=work_dir, budget_s=budget, reproduce=_command_line()
    )
    print_timings(timed, title=f"timings: an answer of {chosen.latency.new_tokens} tokens")
    print()
    print_verdicts(verdicts, title=f"latency: ratio to dense, {profile}, keep {kept}")
    write_report(work_dir, verdicts, title="latency", timed=timed)
    _exit(verdicts)


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
    verdicts = golden_gate(reproduce=_command_line())
    print_verdicts(verdicts, title="goldens")
    _exit(verdicts)


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
        verdicts = [static_verdict(reproduce=_command_line())]
        print_verdicts(verdicts, title="waits")
        _exit(verdicts)
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
    verdicts = waits_gate(profile, arm, kept, reproduce=_command_line())
    print_verdicts(verdicts, title=f"waits: {model}, keep {kept}")
    _exit(verdicts)


def main() -> None:
    """Entry point: what the user can mend becomes one line on stderr and exit code 2."""
    try:
        app()
    except (UserError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _command_line() -> str:
    """The command as it can be typed again, FASTV_K included."""
    setting = f"FASTV_K={os.environ['FASTV_K']} " if "FASTV_K" in os.environ else ""
    return f"{setting}python -m bench {' '.join(sys.argv[1:])}"


def _exit(verdicts: "list[Verdict]") -> None:
    from bench.verdict import exit_code

    raise typer.Exit(exit_code(verdicts))


__all__ = ["app", "main"]
