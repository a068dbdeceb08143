"""`sweep`: accuracy against latency over a grid of reductions."""

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


@app.command()
def sweep(
    context: typer.Context,
    keep: Annotated[
        str, typer.Option(help="What to keep, with commas between: counts, shares to remove, none.")
    ] = "18,36,72,144,none",
    merge: Annotated[str, typer.Option(help="Merging: on, off, or both.")] = "on,off",
    methods: Annotated[
        str | None,
        typer.Option(help="Published methods in place of the grid; see python -m bench methods."),
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
    """
    from rich.console import Console

    from bench.arms.needs import prepare
    from bench.arms.profiles import load_profile
    from bench.base.tables import print_line, print_table
    from bench.evaluation.runs.job import Options
    from bench.evaluation.runs.ranks import demand_alone
    from bench.report.sweep.grid import parse_grid, parse_methods
    from bench.report.sweep.page import write_sweep
    from bench.report.sweep.result import COLUMNS, pareto_front, point_cells
    from bench.report.sweep.run import Timed, run_sweep

    demand_alone()
    if methods is not None:
        demand_heeded(context, "sweep of methods")
    cells = parse_grid(keep, merge) if methods is None else parse_methods(keep, methods)
    if methods is None and not any(cell.merge for cell in cells):
        demand_heeded(context, "sweep without merging")
    chosen = load_profile(profile, thresholds)
    folder = work_dir / "sweep"
    data = [chosen.data_of("mmbench"), *([chosen.data_of("coco")] if coco else [])]
    prepare(chosen, data, work_dir=work_dir)
    options = Options(folder, reuse, verbose, limit, batch_size, matcher)
    found = run_sweep(chosen, cells, options, Timed(batch, blocks), captions=coco)
    front = pareto_front(found.points)
    rows = [point_cells(point, on_front=point in front) for point in found.points]
    console = Console()
    title = f"sweep: {profile}, {found.questions} questions, answers timed at batch {batch}"
    print_table(console, title, COLUMNS, rows)
    for line in found.said:
        print_line(console, line)
    for path in write_sweep(folder, found):
        print_line(console, f"written: {path}")
