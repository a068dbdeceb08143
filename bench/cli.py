"""`python -m bench ...`: run and score, compare, and the gates.

Exit codes: 0 pass, 1 a gate failed, 2 wrong usage, data or environment, 3 unsure.
"""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bench.errors import UserError

if TYPE_CHECKING:
    from bench.verdict import Verdict

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Run, score, time and gate LLaVA-1.5 with reduced visual tokens. "
    "Exit codes: 0 pass, 1 a gate failed, 2 usage, data or environment, 3 unsure.",
)

reference = typer.Typer(no_args_is_help=True, help="Runs that others are compared with by name.")
app.add_typer(reference, name="reference")

ReferencesOption = Annotated[
    Path | None,
    typer.Option(help="Your own references; $VLM_HYBRID_REFERENCES or ./references if not given."),
]
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
TokeniserOption = Annotated[
    str,
    typer.Option(
        help="What captions are scored as: raw, as VLMEvalKit does, or ptb, as the literature "
        "does (needs Java, adds METEOR)."
    ),
]
SpiceOption = Annotated[
    bool,
    typer.Option("--spice", help="Score captions by SPICE, too; needs --tokeniser ptb."),
]
PromptOption = Annotated[
    str,
    typer.Option(
        help="What is asked, and in which words: vlmevalkit, llava or lmms-eval for MMBench; "
        "vlmevalkit, one-sentence (lmms-eval's) or recorded-hybrid for captions."
    ),
]
DEFAULT_MATCHER = "vlmevalkit-2025-04"


class Mode(StrEnum):
    """Which part of a run is done; VLMEvalKit's names."""

    ALL = "all"
    INFER = "infer"
    EVAL = "eval"


@app.command()
def run(
    data: Annotated[
        str,
        typer.Option(
            help="tiny-mmbench, tiny-coco, MMBench_DEV_EN, COCO_VAL, "
            "a .tsv file in VLMEvalKit's columns, or hf:lmms-lab/MMBench:en:dev."
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
    tokeniser: TokeniserOption = "raw",
    spice: SpiceOption = False,
    prompt: PromptOption = "vlmevalkit",
    subset: Annotated[
        str | None,
        typer.Option(help="Only these: mmbench-300, coco-500, or a file, an index a line."),
    ] = None,
    mode: Annotated[
        Mode,
        typer.Option(help="all; infer: answer, don't score; eval: score what is answered."),
    ] = Mode.ALL,
) -> None:
    """Let a model answer a data set, and score the answers.

    Example: python -m bench run --data tiny-mmbench --model tiny_hybrid --keep 36
    """
    from bench.evaluate import (
        Options,
        describe,
        evaluate,
        infer_only,
        open_task,
        score_only,
    )
    from bench.models import arm_config, load_checkpoint, resolve_keep
    from bench.profiles import load_profile, profile_of_model
    from bench.ranks import joined
    from bench.report import print_score
    from bench.subsets import load_subset

    name, arm = profile_of_model(model)
    profile = load_profile(name, thresholds)
    kept = resolve_keep(keep, profile)
    chosen = None if subset is None else load_subset(subset)
    with joined() as ranks:
        options = Options(
            work_dir,
            reuse,
            verbose,
            limit,
            batch_size,
            matcher,
            tokeniser,
            spice,
            prompt=prompt,
            subset=chosen,
            ranks=ranks,
        )
        task = open_task(data, options)
        if mode is Mode.EVAL:
            if ranks.rank > 0:
                return
            folder, score = score_only(profile, arm, kept, task, options)
        else:
            checkpoint = load_checkpoint(profile)
            if mode is Mode.INFER or ranks.rank > 0:
                folder, _ = infer_only(checkpoint, profile, arm, kept, task, options)
                if ranks.rank == 0:
                    print(f"answers written to {folder}")
                return
            folder, score = evaluate(checkpoint, profile, arm, kept, task, options)
    print_score(score, title=f"{model} on {task.name}: {describe(arm_config(arm, profile, kept))}")
    print(f"written to {folder}")


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(help="A work dir, or the folder of one run.")],
) -> None:
    """How far each run is, how fast it goes, and what it runs.

    Example: python -m bench status outputs
    """
    from bench.status import find_runs

    for found in find_runs(folder):
        print(found.text())


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="MMBench_DEV_EN or COCO_VAL.")],
    url: Annotated[
        str | None, typer.Option(help="A mirror's copy of the same file; its md5 is checked, too.")
    ] = None,
) -> None:
    """Download a data set to $LMUData or ~/LMUData; goes on where it broke off.

    Example: python -m bench fetch MMBench_DEV_EN
    """
    from bench.tasks.fetch import fetch as fetch_data

    print(fetch_data(name, url=url))


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="VLMEvalKit's .xlsx, or predictions.jsonl.")],
    data: Annotated[str | None, typer.Option(help="The data that a .jsonl answers.")] = None,
    matcher: MatcherOption = DEFAULT_MATCHER,
    tokeniser: TokeniserOption = "raw",
    spice: SpiceOption = False,
) -> None:
    """Score a file of predictions, without a model.

    Example: python -m bench score llava_v1.5_7b_MMBench_DEV_EN.xlsx
    """
    from bench.report import print_score
    from bench.tasks import score_file

    found = score_file(file, data=data, matcher=matcher, tokeniser=tokeniser, with_spice=spice)
    print_score(found, title=str(file))


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
    verdicts = cost_gate(reproduce=_command_line())
    print_verdicts(verdicts, title="cost")
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


@app.command()
def compare(
    before: Annotated[
        str, typer.Argument(help="The baseline: a run's folder, a .xlsx, or a reference's name.")
    ],
    after: Annotated[str, typer.Argument(help="What is compared with it, likewise.")],
    output: Annotated[
        Path | None,
        typer.Option(help="The HTML page; compare.html beside the second run if not given."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="The data with the images; what run.json says if not given.")
    ] = None,
    matcher: Annotated[
        str | None, typer.Option(help="Read both runs anew by this matcher; else by their own.")
    ] = None,
    references: ReferencesOption = None,
    pictures: Annotated[
        bool, typer.Option(help="Run the prefill again to show which patches each run kept.")
    ] = True,
) -> None:
    """Compare two runs of the same questions, and write a page with what flipped.

    Example: python -m bench compare outputs/tiny/tiny-mmbench outputs/tiny_hybrid/tiny-mmbench
    """
    from bench.compare import compare as compare_sides
    from bench.compare import print_comparison
    from bench.comparison.page import write_page
    from bench.comparison.side import load_side

    sides = [load_side(text, matcher=matcher, references=references) for text in (before, after)]
    found = compare_sides(sides[0], sides[1])
    print_comparison(found)
    folder = sides[1].folder or sides[0].folder or Path()
    page = output or folder / "compare.html"
    for remark in write_page(found, page, data=data, pictures=pictures):
        print(f"note: {remark}")
    print(f"written to {page}")


@reference.command("list")
def list_references(references: ReferencesOption = None) -> None:
    """List the runs that a new one can be compared with by name.

    Example: python -m bench reference list
    """
    from bench.references import print_references

    print_references(references)


@reference.command("add")
def add_reference(
    run: Annotated[Path, typer.Argument(help="A finished run's folder, or a .xlsx.")],
    name: Annotated[
        str | None, typer.Option(help="What to call it; model and data if not given.")
    ] = None,
    references: ReferencesOption = None,
    matcher: Annotated[
        str | None, typer.Option(help="Read the answers anew by this matcher; else by its own.")
    ] = None,
) -> None:
    """Keep a run's letters, small and without any text, to compare later runs with.

    Example: python -m bench reference add outputs/tiny/tiny-mmbench --name dense
    """
    from bench.references.record import add_run

    print(f"written to {add_run(run, name, references, matcher=matcher)}")


def main() -> None:
    """Entry point: what the user can mend becomes one line on stderr and exit code 2."""
    try:
        app()
    except UserError as error:
        _fail(error)
    except ValueError as error:
        # Here, not above: `hybrid` loads torch, which takes longer than to score a file.
        from hybrid.config import ConfigError

        if not isinstance(error, ConfigError):
            raise
        _fail(error)


def _fail(error: Exception) -> NoReturn:
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
