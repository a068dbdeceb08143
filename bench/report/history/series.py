"""One gate's value over commits, and the steps in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.history.spent import changes
from bench.report.history.steps import Level, find_levels
from bench.report.history.store import Entry
from bench.report.origin import Origin

NARROWEST = 1.645  # standard errors on each side of the narrowest intervals, those of 90%
COLUMNS = ("gate", "settings", "runs", "newest", "interval", "verdict", "steps")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One value.

    Attributes:
        low, high: None where the run was too short for an interval.
        changes: what an arm spends otherwise than in the run before, in words; else empty.
    """

    origin: Origin
    outcome: str
    value: float
    low: float | None
    high: float | None
    bound: float | None
    changes: str = ""

    @property
    def label(self) -> str:
        return self.origin.label


@dataclass(frozen=True, kw_only=True)
class Series:
    """One gate under one set of settings.

    Attributes:
        relative: whether values are ratios, whose steps are told in percent.
        unmeasured: runs without a value.
        levels: of log(value) if relative, else of the value.
    """

    title: str
    gate: str
    settings: str
    relative: bool
    runs: Sequence[Run]
    unmeasured: int
    levels: Sequence[Level]

    @property
    def steps(self) -> list[tuple[Run, str]]:
        """The first run on each new level, and by how much it stepped."""
        found = []
        for before, after in zip(self.levels, self.levels[1:], strict=False):
            change = after.value - before.value
            text = f"{100 * math.expm1(change):+.1f}%" if self.relative else f"{change:+.4f}"
            found.append((self.runs[after.start], text))
        return found

    def level_value(self, level: Level) -> float:
        return math.exp(level.value) if self.relative else level.value


def all_series(entries: Sequence[Entry]) -> list[Series]:
    """By gate and settings, in order of first appearance. Gates without numbers are left out."""
    found: dict[tuple[str, str, str], list[Run | None]] = {}
    for entry, changed in zip(entries, changes(entries), strict=True):
        said = "; ".join(f"{arm}: {text}" for arm, text in changed.items())
        for verdict in entry.verdicts:
            if "value" in verdict["numbers"]:
                key = (entry.title, verdict["gate"], entry.origin.asked)
                found.setdefault(key, []).append(
                    _run(entry, verdict["numbers"], verdict["outcome"], said)
                )
    return [_series(*key, runs) for key, runs in found.items()]


def series_cells(series: Series) -> list[str]:
    """In the order of COLUMNS."""
    steps = "; ".join(
        f"{text} at {run.label}{', with another budget' if run.changes else ''}"
        for run, text in series.steps
    )
    runs = str(len(series.runs))
    if series.unmeasured:
        runs += f" and {series.unmeasured} without a value"
    if not series.runs:
        return [series.gate, series.settings, runs, "", "", "", ""]
    newest = series.runs[-1]
    interval = "" if newest.low is None else f"[{newest.low:.4f}, {newest.high:.4f}]"
    cells = (f"{newest.value:.4f}", interval, newest.outcome)
    return [series.gate, series.settings, runs, *cells, steps or "none"]


def _series(title: str, gate: str, settings: str, found: Sequence[Run | None]) -> Series:
    runs = [run for run in found if run is not None]
    relative = title == "latency" and all(run.value > 0 for run in runs)
    values = [math.log(run.value) if relative else run.value for run in runs]
    errors = [_error(run, relative) for run in runs]
    return Series(
        title=title,
        gate=gate,
        settings=settings,
        relative=relative,
        runs=runs,
        unmeasured=len(found) - len(runs),
        levels=find_levels(values, errors),
    )


def _run(entry: Entry, numbers: dict[str, object], outcome: str, changed: str) -> Run | None:
    value, low, high, bound = (
        number if isinstance(number := numbers.get(name), int | float) else None
        for name in ("value", "low", "high", "bound")
    )
    if value is None:
        return None
    known = low is not None and high is not None
    return Run(
        origin=entry.origin,
        outcome=outcome,
        value=float(value),
        low=low if known else None,
        high=high if known else None,
        bound=bound,
        changes=changed,
    )


def _error(run: Run, relative: bool) -> float:
    """Standard error, read from the interval as if it were a narrow one: never too small."""
    if run.low is None or run.high is None or (relative and min(run.low, run.high) <= 0):
        return 0.0
    width = math.log(run.high / run.low) if relative else run.high - run.low
    return max(width, 0.0) / (2 * NARROWEST)
