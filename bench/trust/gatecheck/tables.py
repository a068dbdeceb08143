"""The measured rates as tables, with the verdicts on them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from bench.base.tables import print_line, print_table
from bench.base.verdict import Verdict
from bench.gates.compared import Compared
from bench.trust.gatecheck.judged import Judged, Rate, required_rates
from bench.trust.gatecheck.recording import SHIPPED, Recording
from bench.trust.gatecheck.replay import replay
from bench.trust.gatecheck.rivals import rivals
from bench.trust.gatecheck.series import TRUTHS

RATE_COLUMNS = (
    *("truth", "ratio", "verdicts", "independent jobs"),
    *(str(word) for word in Compared),
    "median s",
)


def rate_rows(judged: Sequence[Judged]) -> list[list[str]]:
    """For each truth: what was said of it how often, with the measured ratio and time."""
    rows = []
    for truth in TRUTHS:
        chosen = [one for one in judged if one.truth == truth]
        rates = {word: Rate.of(judged, truth, word) for word in Compared}
        any_rate = rates[Compared.SAME]
        ratio = float(np.nanmedian([value for one in chosen for value in one.ratios.values()]))
        rows.append(
            [
                truth,
                f"{ratio:.3f}",
                str(any_rate.verdicts),
                str(any_rate.independent),
                *(f"{r.value:.1%} ({r.low:.1%} to {r.high:.1%})" for r in rates.values()),
                f"{float(np.median([one.seconds for one in chosen])):.1f}",
            ]
        )
    return rows


ERROR_COLUMNS = (
    "rule",
    "A/A: SLOWER or FASTER",
    "+5%: not SLOWER",
    "+10%: not SLOWER",
    "+5%: FASTER",
)


def error_row(name: str, judged: Sequence[Judged]) -> list[str]:
    """The error rates of one rule."""
    different = (Compared.SLOWER, Compared.FASTER)
    missed = [word for word in Compared if word is not Compared.SLOWER]
    rates = (
        Rate.of(judged, "same", *different),
        Rate.of(judged, "slower-5", *missed),
        Rate.of(judged, "slower-10", *missed),
        Rate.of(judged, "slower-5", Compared.FASTER),
    )
    return [name, *(f"{rate.value:.1%} of {rate.verdicts}" for rate in rates)]


def live_rates(judged: Sequence[Judged], *, reproduce: str, console: Console) -> list[Verdict]:
    """Prints the rates of live verdicts, and judges them."""
    print_table(console, "latency verdicts, live", RATE_COLUMNS, rate_rows(judged))
    print_line(console, "")
    return required_rates(judged, of="live", reproduce=reproduce)


def replayed_rates(folder: Path | None, *, reproduce: str, console: Console) -> list[Verdict]:
    """Replays a recording, the shipped one if None, prints its rates beside others', and judges.

    Raises UserError if there is no recording, or it lacks a truth.
    """
    recording = Recording.load(folder or SHIPPED)
    setup = recording.manifest["setup"]
    print_line(
        console,
        f"recorded {recording.manifest['recorded']} on {setup['cores']} cores ({setup['cpu']}):"
        f" {min(map(recording.minutes, TRUTHS)):.1f} minutes or more of each truth",
    )
    judged = replay(recording)
    print_table(console, "latency verdicts, replayed", RATE_COLUMNS, rate_rows(judged))
    print_line(console, "")
    rows = [error_row("this gate, one interleaved job", judged)]
    rows += [error_row(name, theirs) for name, theirs in rivals(recording).items()]
    print_table(console, "wrong on the same samples", ERROR_COLUMNS, rows)
    print_line(console, "")
    return required_rates(judged, of="replayed", reproduce=reproduce)
