"""`gate-check`: the gates on known truths."""

from pathlib import Path
from typing import Annotated

import typer

from bench.base.errors import UserError
from bench.cli.heeded import demand_heeded
from bench.cli.options import command_line, leave

app = typer.Typer()


@app.command("gate-check")
def gate_check(
    context: typer.Context,
    live: Annotated[
        int | None,
        typer.Option(min=1, help="So many live verdicts on each truth instead."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Record new series into this folder instead; goes on if cut off."),
    ] = None,
    recording: Annotated[
        Path | None, typer.Option(help="Replay this recording, not the one that ships.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="To record for each truth, in segments of 100 seconds.")
    ] = 20.0,
) -> None:
    """Measure how often the gates are wrong, where what is right is known.

    Replays the latency verdict on recorded series of equal arms and of planted slowdowns, beside
    what is used elsewhere, and draws runs of known loss for the accuracy gate.

    Example: python -m bench gate-check
    """
    from rich.console import Console

    from bench.base.tables import print_line
    from bench.report.terminal import print_verdicts

    if live is not None and record is not None:
        raise UserError("give --live or --record, not both")
    console, command = Console(), command_line()

    def say(line: str) -> None:
        print_line(console, line)

    if record is not None:
        demand_heeded(context, "gate-check --record")
        from bench.trust.gatecheck.record import record as record_series

        record_series(record, minutes=minutes, command=command, progress=say)
        return
    if live is not None:
        demand_heeded(context, "gate-check --live")
        from bench.trust.gatecheck.live import live_verdicts
        from bench.trust.gatecheck.tables import live_rates

        judged = live_verdicts(live, reproduce=command, progress=say)
        verdicts = live_rates(judged, reproduce=command, console=console)
    else:
        demand_heeded(context, "gate-check replayed")
        from bench.trust.gatecheck.accuracy import accuracy_known_truths
        from bench.trust.gatecheck.tables import replayed_rates

        verdicts = replayed_rates(recording, reproduce=command, console=console)
        verdicts += accuracy_known_truths(reproduce=command)
    print_verdicts(verdicts, title="gates on known truths", console=console)
    leave(verdicts)
