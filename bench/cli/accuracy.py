"""`accuracy`, also `gate`: the accuracy gate."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from bench.arms.weights import Weights
from bench.base.errors import UserError
from bench.cli.heeded import demand_arm_heeds, demand_heeded
from bench.cli.options import (
    DEFAULT_MATCHER,
    ArmOption,
    BatchOption,
    DtypeOption,
    KeepOption,
    LimitOption,
    MatcherOption,
    ProfileOption,
    ReuseOption,
    ThresholdsOption,
    VerboseOption,
    WeightsOption,
    WorkDirOption,
    command_line,
    given_options,
    leave,
    method_settings,
)

app = typer.Typer()


@app.command()
def accuracy(
    context: typer.Context,
    profile: ProfileOption = "tiny",
    keep: KeepOption = None,
    thresholds: ThresholdsOption = None,
    work_dir: WorkDirOption = Path("outputs"),
    weights: WeightsOption = Weights.CHECKPOINT,
    dtype: DtypeOption = None,
    reuse: ReuseOption = False,
    verbose: VerboseOption = False,
    limit: LimitOption = None,
    full: Annotated[
        bool, typer.Option("--full", help="All data, not the profile's pinned subsets.")
    ] = False,
    batch_size: BatchOption = None,
    matcher: MatcherOption = DEFAULT_MATCHER,
    chosen_arm: ArmOption = None,
    prompt: Annotated[
        str, typer.Option(help="What MMBench is asked in: vlmevalkit, llava or lmms-eval.")
    ] = "vlmevalkit",
    caption_prompt: Annotated[
        str | None,
        typer.Option(
            help="What COCO is asked: vlmevalkit, one-sentence or recorded-hybrid; the profile's "
            "if not given."
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Earlier runs in place of this job's dense ones: a folder with one run for each "
            "data set, such as outputs/tiny. Of the same weights, data, prompts and matcher."
        ),
    ] = None,
) -> None:
    """Gate on accuracy: dense and an arm, the hybrid if none is named, paired sample by sample.

    `gate` is the same command.

    Examples: python -m bench accuracy --keep 9
              python -m bench accuracy --method mine.py:Mine --keep 9
              python -m bench accuracy --profile llava-1.5-7b --full
    """
    if weights is Weights.RANDOM:
        raise UserError(
            "random weights answer nothing, so there is no accuracy to judge: leave out --weights,"
            " or take it to `python -m bench latency`, `cost` or `syncs`"
        )
    from rich.console import Console

    from bench.arms.models import resolve_keep
    from bench.arms.needs import prepare, quality_minutes
    from bench.arms.profiles import TASKS, load_profile
    from bench.base.tables import print_table
    from bench.cost.budget import spent
    from bench.evaluation.runs.job import Options, model_name, open_task
    from bench.evaluation.runs.ranks import demand_alone
    from bench.evaluation.statistics.breakdown import (
        CATEGORY_COLUMNS,
        CATEGORY_TITLE,
        category_cells,
        category_rows,
    )
    from bench.gates.quality import asked_of, quality_gate
    from bench.report.history.store import history_file
    from bench.report.kept import kept_pictures
    from bench.report.sweep.result import saved_sweep
    from bench.report.terminal import print_budgets, print_verdicts
    from bench.report.write import write_report

    demand_alone()
    arm = chosen_arm or "hybrid"
    chosen = load_profile(profile, thresholds).in_dtype(dtype)
    if full:
        chosen = chosen.on_all_data()
    demand_arm_heeds(chosen, arm, keep=keep, thresholds=thresholds)
    for kind, without in (("mmbench", "questions"), ("coco", "captions")):
        if kind not in chosen.judged:
            demand_heeded(context, f"gate without {without}")
    kept = resolve_keep(keep, chosen)
    options = Options(
        work_dir,
        reuse,
        verbose,
        limit,
        batch_size,
        matcher,
        prompt=prompt,
        chat=chosen.model.chat,
    )
    prepare(
        chosen,
        chosen.judged.values(),
        minutes=quality_minutes(chosen, limit=limit, batch_size=batch_size),
        work_dir=work_dir,
    )
    verdicts = quality_gate(
        chosen,
        arm,
        kept,
        options,
        held=context.with_resource(ExitStack()),  # until the report is written
        reproduce=command_line(),
        caption_prompt=caption_prompt or chosen.data.coco_prompt,
        against=against,
    )
    budgets = spent(chosen, dict.fromkeys(("dense", arm)), kept)
    print_budgets(budgets)
    print()
    print_verdicts(
        verdicts, title=f"accuracy: {arm} against {against or 'dense'}, {profile}, keep {kept}"
    )
    for kind, said in TASKS.items():
        if kind not in chosen.judged:
            print(f"not judged: {said}, as the profile has no [gates.{kind}]")
    flips = [row for verdict in verdicts for row in category_rows(verdict.numbers)]
    if flips:
        cells = [category_cells(row) for row in flips]
        print_table(Console(), CATEGORY_TITLE, CATEGORY_COLUMNS, cells)
    settings = {"profile": profile, "keep": str(kept), "arm": arm} | method_settings(arm)
    if dtype is not None:
        settings["dtype"] = dtype
    if limit is not None:
        settings["limit"] = str(limit)
    if chosen.data.mmbench_subset or chosen.data.coco_subset:
        settings["subsets"] = f"{chosen.data.mmbench_subset}, {chosen.data.coco_subset}"
    asked = asked_of(chosen, options, caption_prompt or chosen.data.coco_prompt)
    kind = next(iter(asked))
    shown = open_task(chosen.judged[kind], asked[kind])
    baseline = against or work_dir / model_name(chosen, "dense")
    run = work_dir / model_name(chosen, arm)
    write_report(
        work_dir,
        verdicts,
        title="accuracy",
        budgets=budgets,
        settings=settings,
        options=given_options(context),
        history=history_file(),
        flips=flips,
        pictures=kept_pictures(run / shown.name, baseline / shown.name, shown, chosen),
        sweep=saved_sweep(work_dir / "sweep"),
    )
    leave(verdicts)
