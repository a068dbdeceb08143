"""How far long work is: a bar on a terminal, and in a log a line every half minute."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench.base.printable import printable

LINE_EVERY_S = 30.0
DRAW_EVERY_S = 0.1


class Bar:
    """Work under way, which says itself how far it is.

    Nothing is drawn from a thread of its own: that would take the core from what is timed, and
    could not be forked beside.

    Args:
        title: what is done.
        total: in any unit; None if nobody knows.
        console: where it is shown.
        columns: of the bar, beside how much is done and the time.
        quiet: show nothing but what `say` is given.
        clock: seconds.
    """

    def __init__(
        self,
        title: str,
        total: float | None,
        console: Console,
        columns: tuple[ProgressColumn, ...] = (),
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.total, self.done = title, total, 0.0
        self.console, self.clock = console, clock
        self.logs = not quiet and not console.is_terminal
        self.drawn_by = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *columns,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            disable=quiet or not console.is_terminal,
        )
        self.task = self.drawn_by.add_task(title, total=total)
        self.started = self.said = self.drawn = clock()
        self.skipped, self.described = 0.0, title

    def skip(self, count: float) -> None:
        """So much was done before: it counts, and says nothing about the time that is left."""
        self.skipped += count
        self.advance(count)

    def advance(self, count: float = 1, now: str = "") -> None:
        """So much more is done; `now` is what is under way."""
        self.reach(self.done + count, now=now)

    def reach(self, done: float, *, now: str = "") -> None:
        """So much is done in all."""
        self.done, at = done, self.clock()
        ended = self.total is not None and done >= self.total
        described = f"{self.title}: {now}" if now else self.title
        draw = ended or described != self.described or at - self.drawn >= DRAW_EVERY_S
        self.drawn_by.update(self.task, completed=done, description=described, refresh=draw)
        if draw:
            self.drawn, self.described = at, described
        if self.logs and not ended and at - self.said >= LINE_EVERY_S:
            self.say(f"{described}: {self._so_far(at)}")

    def say(self, line: str) -> None:
        """A line of its own, above the bar or in the log."""
        self.said = self.clock()
        self.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def _so_far(self, at: float) -> str:
        elapsed = at - self.started
        after = f"after {_clock_time(elapsed)}"
        if self.total is None:
            return after
        fresh = self.done - self.skipped
        left = (self.total - self.done) * elapsed / fresh if fresh > 0 else None
        coming = "" if left is None else f", about {_clock_time(left)} left"
        return f"{self.done / self.total:.0%} {after}{coming}"


@contextmanager
def progress(
    title: str, total: float | None = 1.0, *columns: ProgressColumn, quiet: bool = False
) -> Iterator[Bar]:
    """Show a `Bar` on stderr while the block runs."""
    bar = Bar(title, total, Console(stderr=True), columns, quiet=quiet)
    with bar.drawn_by:
        yield bar


def _clock_time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
