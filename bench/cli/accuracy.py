"""`gate`: the accuracy gate."""

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
