"""`sweep`: accuracy against latency over a grid of reductions."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.heeded import demand_heeded
from bench.cli.options import (
    DEFAULT_MATCHER,
    BatchOption,
    LimitOption,
    MatcherOption,
    ProfileOption,
    ReuseOption,
    ThresholdsOption,
    VerboseOption,
    WorkDirOption,
)

app = typer.Typer()


class Over(StrEnum):
    """Of `bench.report.plots.sweep.OVER`."""

    TOKENS = "tokens"
    AVERAGE = "average"
    FLOPS = "flops"
    CACHE = "cache"


@app.command()
def sweep(
    context: typer.Context,
    keep: Annotated[
        str, typer.Option(help="What to keep, with commas between: counts, shares to remove, none.")
    ] = "18,36,72,144,none",
    merge: Annotated[str, typer.Option(help="Merging: on, off, or both.")] = "on,off",
    methods: Annotated[
        str | None,
        typer.Option(
            help="Methods in place of the grid, with commas between, or all: names of "
            "python -m bench methods, or your own as FILE.py:NAME."
        ),
    ] = None,
    average: Annotated[
        str | None,
        typer.Option(
            help="With --methods, in place of --keep: visual tokens that a layer of the language "
            "model gets on average. Each method keeps what comes nearest, and not above."
        ),
    ] = None,
    over: Annotated[
        Over | None,
        typer.Option(
            help="The budget that plots are drawn over; average with --methods, else tokens."
        ),
    ] = None,
    profile: ProfileOption = "tiny",
    thresholds: ThresholdsOption = None,
    work_dir: WorkDirOption = Path("outputs"),
    reuse: ReuseOption = False,
    verbose: VerboseOption = False,
    limit: LimitOption = None,
    batch_size: BatchOption = None,
    matcher: MatcherOption = DEFAULT_MATCHER,
    coco: Annotated[bool, typer.Option("--coco", help="Score captions, too: CIDEr.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Prompts of a timed answer.")] = 8,
    blocks: Annotated[int, typer.Option(min=16, help="Timed blocks, two calls an arm each.")] = 24,
) -> None:
    """Draw accuracy against latency for each reduction, dense marked.

    Examples: python -m bench sweep --keep 9,18,36,none --limit 60
              python -m bench sweep --methods divprune,visionzip --keep 9,18 --limit 60
              python -m bench sweep --methods all --average 36,18 --over flops --limit 60

    With --methods, chance and a smaller image stand beside each, at as many tokens a layer; which
    methods are not shown to be better is said in words.
    """
    from rich.console import Console

    from bench.arms.needs import prepare
    from bench.arms.profiles import load_profile
    from bench.base.tables import print_line, print_table
    from bench.evaluation.runs.job import Options
    from bench.evaluation.runs.ranks import demand_alone
    from bench.report.sweep.grid import (
        Asked,
        parse_averages,
        parse_budgets,
        parse_grid,
        parse_methods,
    )
    from bench.report.sweep.page import write_sweep
    from bench.report.sweep.result import table
    from bench.report.sweep.run import Timed, run_sweep

    demand_alone()
    if methods is not None:
        demand_heeded(context, "sweep of methods")
        named = parse_methods(methods)
        if average is None:
            asked = Asked(methods=named, keeps=parse_budgets(keep))
        else:
            demand_heeded(context, "sweep by averages")
            asked = Asked(methods=named, averages=parse_averages(average))
    else:
        demand_heeded(context, "sweep of the grid")
        asked = Asked(cells=parse_grid(keep, merge))
        if not any(cell.merge for cell in asked.cells):
            demand_heeded(context, "sweep without merging")
    chosen = load_profile(profile, thresholds)
    folder = work_dir / "sweep"
    data = [chosen.data_of("mmbench"), *([chosen.data_of("coco")] if coco else [])]
    prepare(chosen, data, work_dir=work_dir)
    options = Options(folder, reuse, verbose, limit, batch_size, matcher, chat=chosen.model.chat)
    found = run_sweep(chosen, asked, options, Timed(batch, blocks), captions=coco)
    console = Console()
    title = f"sweep: {profile}, {found.questions} questions, answers timed at batch {batch}"
    print_table(console, title, *table(found))
    for line in found.said:
        print_line(console, line)
    axis = over or (Over.TOKENS if methods is None else Over.AVERAGE)
    for path in write_sweep(folder, found, axis.value):
        print_line(console, f"written: {path}")
