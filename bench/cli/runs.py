"""Commands that run models and read runs: run, status, fetch, score, compare, reference."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.heeded import demand_arm_heeds, demand_heeded
from bench.cli.options import (
    DEFAULT_MATCHER,
    ArmOption,
    BatchOption,
    KeepOption,
    LimitOption,
    MatcherOption,
    Mode,
    OwnProfileOption,
    PromptOption,
    ReferencesOption,
    ReuseOption,
    SpiceOption,
    ThresholdsOption,
    TokeniserOption,
    VerboseOption,
    WorkDirOption,
    named_with,
)

app = typer.Typer()
reference = typer.Typer(no_args_is_help=True, help="Runs that others are compared with by name.")
app.add_typer(reference, name="reference")


@app.command()
def run(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Option(
            help="tiny-mmbench, tiny-coco, tiny-qwen-mmbench, tiny-qwen-coco, MMBench_DEV_EN, "
            "COCO_VAL, "
            "a .tsv file in VLMEvalKit's columns, or hf:lmms-lab/MMBench:en:dev."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="tiny, tiny-qwen, llava_v1.5_7b, llava_next_vicuna_7b, Qwen2.5-VL-7B-Instruct or "
            "Qwen2.5-VL-3B-Instruct (dense), or that followed by "
            "_off, _dymu, _fastv, _hybrid, _random, _lowest, "
            "_compact, or a method's name; or dense with --arm."
        ),
    ],
    profile_file: OwnProfileOption = None,
    chosen_arm: ArmOption = None,
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

    Examples: python -m bench run --data tiny-mmbench --model tiny_hybrid --keep 36
              python -m bench run --data tiny-mmbench --model tiny --method mine.py:Mine --keep 18
    """
    from bench.arms.models import arm_config, load_checkpoint, resolve_keep
    from bench.arms.needs import prepare
    from bench.arms.profiles import load_profile, profile_of_model
    from bench.cost.budget import spent
    from bench.evaluation.runs.evaluate import evaluate, infer_only, meet_ranks, score_only
    from bench.evaluation.runs.job import Job, Options, describe, open_task
    from bench.evaluation.runs.ranks import joined
    from bench.evaluation.runs.spent import recorded_budget
    from bench.report.terminal import print_budgets, print_score
    from bench.tasks.subsets import load_subset

    model = named_with(model, profile_file, chosen_arm)
    name, arm = profile_of_model(model, profile_file)
    profile = load_profile(name, thresholds)
    demand_arm_heeds(profile, arm, keep=keep, thresholds=thresholds)
    if mode is not Mode.ALL:
        demand_heeded(context, f"run --mode {mode}")
    kept = resolve_keep(keep, profile)
    chosen = None if subset is None else load_subset(subset)
    if mode is not Mode.EVAL:  # scoring loads no model
        prepare(profile, [data], work_dir=work_dir)
    with joined() as ranks, ExitStack() as held:
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
            chat=profile.model.chat,
            subset=chosen,
            ranks=ranks,
        )
        task = open_task(data, options)
        demand_heeded(context, task.kind)
        if mode is Mode.EVAL:
            if ranks.rank > 0:
                return
            folder, score = score_only(Job(profile, arm, kept, task, options))
        else:
            meet_ranks(Job(profile, arm, kept, task, options), held)
            checkpoint = load_checkpoint(profile)
            if mode is Mode.INFER or ranks.rank > 0:
                folder, _ = infer_only(checkpoint, Job(profile, arm, kept, task, options))
                if ranks.rank == 0:
                    print(f"answers written to {folder}")
                return
            folder, score = evaluate(checkpoint, Job(profile, arm, kept, task, options))
    print_score(score, title=f"{model} on {task.name}: {describe(arm_config(arm, profile, kept))}")
    if mode is Mode.EVAL:
        print_budgets({arm: recorded_budget(folder)})
    else:
        print_budgets(spent(profile, dict.fromkeys(("dense", arm)), kept))
    print(f"written to {folder}")


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(help="A work dir, or the folder of one run.")],
) -> None:
    """How far each run is, how fast it goes, and what it runs.

    Example: python -m bench status outputs
    """
    from bench.evaluation.runs.status import find_runs

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
    from bench.tasks.sources.fetch import fetch as fetch_data

    print(fetch_data(name, url=url))


@app.command()
def score(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="VLMEvalKit's .xlsx, predictions.jsonl, or a finished run's folder."),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="The data that a .jsonl answers, if no run.json beside it says so."),
    ] = None,
    matcher: MatcherOption = DEFAULT_MATCHER,
    tokeniser: TokeniserOption = "raw",
    spice: SpiceOption = False,
) -> None:
    """Score a file of predictions, without a model.

    Example: python -m bench score llava_v1.5_7b_MMBench_DEV_EN.xlsx
    """
    from bench.evaluation.runs.spent import recorded_budget
    from bench.report.terminal import print_budgets, print_score
    from bench.tasks import read_predictions

    if file.is_dir():
        from bench.evaluation.runs.folder import sheet_in

        file = sheet_in(file) or file / "predictions.jsonl"
    if data is None and file.suffix == ".jsonl" and (file.parent / "run.json").is_file():
        from bench.evaluation.runs.rescore import read_answers

        task, answers = read_answers(file, matcher=matcher, tokeniser=tokeniser, with_spice=spice)
    else:
        task, answers = read_predictions(
            file, data=data, matcher=matcher, tokeniser=tokeniser, with_spice=spice
        )
    demand_heeded(context, task.kind)
    print_score(task.score(answers), title=str(file))
    if (file.parent / "run.json").is_file():
        print_budgets({str(file.parent): recorded_budget(file.parent)})


@app.command()
def compare(
    context: typer.Context,
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
    margin: Annotated[
        float | None,
        typer.Option(
            help="Judge, too: the loss that is still acceptable, as a share of the questions (0.03)"
            " or in CIDEr (0.05)."
        ),
    ] = None,
    pictures: Annotated[
        bool, typer.Option(help="Run the prefill again to show which patches each run kept.")
    ] = True,
    profile_file: Annotated[
        str | None,
        typer.Option("--profile", help="The .toml file of your own that the runs were made by."),
    ] = None,
) -> None:
    """Compare two runs of the same questions, and write a page with what flipped.

    What each spends on a prompt stands above, where the run recorded it.

    With --margin it is a gate on any two files, without a model: 0 pass, 1 fail, 3 unsure.

    Examples: python -m bench compare outputs/tiny/tiny-mmbench outputs/tiny_hybrid/tiny-mmbench
              python -m bench compare dense_MMBench.xlsx mine_MMBench.xlsx --margin 0.03
    """
    from bench.arms.profiles import load_profile
    from bench.cli.options import command_line, leave
    from bench.evaluation.comparison.compare import compare as compare_sides
    from bench.evaluation.comparison.compare import print_comparison
    from bench.evaluation.comparison.side import load_side
    from bench.gates.judge import judge
    from bench.report.comparison.page import write_page
    from bench.report.terminal import print_verdicts

    profile = None if profile_file is None else load_profile(profile_file)
    sides = [load_side(text, matcher=matcher, references=references) for text in (before, after)]
    demand_heeded(context, *(side.kind for side in sides))
    if not any(side.is_reference for side in sides):
        demand_heeded(context, "compare without names")
    found = compare_sides(sides[0], sides[1])
    print_comparison(found)
    folder = sides[1].folder or sides[0].folder or Path()
    page = output or folder / "compare.html"
    verdict = None if margin is None else judge(found, margin, reproduce=command_line())
    told = write_page(found, page, data=data, pictures=pictures, verdict=verdict, profile=profile)
    for remark in told:
        print(f"note: {remark}")
    if verdict is not None:
        print_verdicts([verdict], title=f"compare, margin {margin}")
    print(f"written to {page}")
    if verdict is not None:
        leave([verdict])


@reference.command("list")
def list_references(references: ReferencesOption = None) -> None:
    """List the runs that a new one can be compared with by name.

    Example: python -m bench reference list
    """
    from bench.evaluation.references import print_references

    print_references(references)


@reference.command("add")
def add_reference(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="A finished run's folder, or a .xlsx.")],
    name: Annotated[
        str | None, typer.Option(help="What to call it; model and data if not given.")
    ] = None,
    references: ReferencesOption = None,
    matcher: Annotated[
        str | None, typer.Option(help="Read the answers anew by this matcher; else by its own.")
    ] = None,
) -> None:
    """Keep what a run answered, to compare later runs with: its letters, or its captions.

    Example: python -m bench reference add outputs/tiny/tiny-mmbench --name dense
    """
    from bench.evaluation.references.record import add_side, side_of

    side = side_of(run, matcher)
    demand_heeded(context, side.kind)
    print(f"written to {add_side(side, run.name, name, references)}")
