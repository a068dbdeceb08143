"""`latency`: the latency gate."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import (
    KeepOption,
    ProfileOption,
    ThresholdsOption,
    WorkDirOption,
    command_line,
    leave,
)

app = typer.Typer()


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
