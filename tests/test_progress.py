"""How far long work is: never silent in a log, never drawn where nobody looks."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from bench.base.progress import LINE_EVERY_S, Bar, progress


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(
    work: Callable[[Bar, Seconds], None], *, total: float | None = 200.0, terminal: bool = False
) -> str:
    stream, seconds = io.StringIO(), Seconds()
    console = Console(file=stream, force_terminal=terminal, width=200)
    bar = Bar("answering", total, console, clock=seconds)
    with bar.drawn_by:
        work(bar, seconds)
    return stream.getvalue()


def hundred_seconds(bar: Bar, seconds: Seconds) -> None:
    for _ in range(100):
        seconds.now += 1
        bar.advance()


def test_a_log_is_told_every_half_minute() -> None:
    assert shown(hundred_seconds).splitlines() == [
        "answering: 15% after 0:00:30, about 0:02:50 left",
        "answering: 30% after 0:01:00, about 0:02:20 left",
        "answering: 45% after 0:01:30, about 0:01:50 left",
    ]


def test_work_that_ends_sooner_says_nothing_in_a_log() -> None:
    def quick(bar: Bar, seconds: Seconds) -> None:
        seconds.now = LINE_EVERY_S - 1
        bar.advance(100)
        seconds.now += LINE_EVERY_S
        bar.advance(100)

    assert shown(quick) == ""


def test_what_was_done_before_counts_but_was_not_quick() -> None:
    def continued(bar: Bar, seconds: Seconds) -> None:
        bar.skip(100)
        seconds.now = 40
        bar.advance(50, now="page 3")

    assert shown(continued) == "answering: page 3: 75% after 0:00:40, about 0:00:40 left\n"


def test_an_unknown_total_has_no_share() -> None:
    assert shown(hundred_seconds, total=None).splitlines()[0] == "answering: after 0:00:30"


def test_nothing_done_yet_has_no_time_left() -> None:
    def slow(bar: Bar, seconds: Seconds) -> None:
        seconds.now = 45
        bar.advance(0)

    assert shown(slow) == "answering: 0% after 0:00:45\n"


def test_a_terminal_has_a_bar_and_no_lines() -> None:
    text = shown(hundred_seconds, terminal=True)
    assert "answering" in text and "━" in text
    assert "left" not in text


def test_a_quiet_bar_still_says_what_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("answering", 2, quiet=True) as bar:
        bar.advance(2)
        bar.say("7: [bold]A[/bold]")
    assert capsys.readouterr().err == "7: [bold]A[/bold]\n"
