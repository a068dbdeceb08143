"""Rows of the tables that every kind of report shows."""

import math
from collections.abc import Iterable, Mapping

from bench.base.verdict import Outcome, Verdict
from bench.cost.spending import COLUMNS, Budget, cells_of
from bench.report.timing import Timing
from bench.tasks.task import Metric

OVERALL = {0: Outcome.PASS, 1: Outcome.FAIL, 3: Outcome.UNSURE}
VERDICT_COLUMNS = ("gate", "verdict", "value", "interval", "bound", "why")
SCORE_COLUMNS = ("by", "metric", "value", "standard error", "count")
TIMING_COLUMNS = (
    "case", "arm", "stage", "p50", "p90", "peak memory", "calls", "against its floor"
)  # fmt: skip
BUDGET_COLUMNS = ("arm", *COLUMNS)
NOT_COUNTED = "not counted"


def budget_rows(budgets: Mapping[str, Budget | None]) -> list[list[str]]:
    """Each in the order of BUDGET_COLUMNS; None was not recorded."""
    return [[arm, *cells_of(spent)] for arm, spent in budgets.items()]


def verdict_cells(verdict: Verdict) -> list[str]:
    """In the order of VERDICT_COLUMNS."""
    numbers = verdict.numbers
    interval = bound = ""
    if "low" in numbers and "high" in numbers:
        interval = f"[{_number(numbers['low'])}, {_number(numbers['high'])}]"
    if "bound" in numbers:
        bound = f"{numbers.get('must_be', '')} {_number(numbers['bound'])}".strip()
    value = _number(numbers["value"]) if "value" in numbers else ""
    return [verdict.gate, str(verdict.outcome), value, interval, bound, verdict.reason]


def timing_cells(row: Timing) -> list[str]:
    """In the order of TIMING_COLUMNS."""
    against = NOT_COUNTED
    if row.floor is not None:
        times = row.p50_ms / (1e3 * row.floor.seconds)
        against = f"{times:.1f}x the {row.floor.wall} floor, {in_time(1e3 * row.floor.seconds)}"
    milliseconds = (in_time(row.p50_ms), in_time(row.p90_ms))
    peak = "" if row.peak_bytes is None else f"{row.peak_bytes / 2**20:.1f} MiB"
    return [row.case, row.arm, row.stage, *milliseconds, peak, str(row.calls), against]


def in_time(milliseconds: float) -> str:
    """Three digits of a time, in ms or from a second on in s."""
    if milliseconds < 999.5:
        return f"{milliseconds:.3g} ms"
    return f"{milliseconds / 1e3:.3g} s"


def metric_cells(by: str, name: str, metric: Metric) -> list[str]:
    """In the order of SCORE_COLUMNS."""
    error = "" if metric.standard_error is None else f"{metric.standard_error:.4f}"
    return [by, name, f"{metric.value:.4f}", error, str(metric.count)]


def as_json(verdict: Verdict) -> dict[str, object]:
    """A verdict's fields; an infinite end of an interval becomes null, which JSON can hold."""
    return {
        "gate": verdict.gate,
        "outcome": str(verdict.outcome),
        "reason": verdict.reason,
        "reproduce": verdict.reproduce,
        "numbers": {
            name: number if isinstance(number, str) or math.isfinite(number) else None
            for name, number in verdict.numbers.items()
        },
    }


def unique(commands: Iterable[str]) -> list[str]:
    """Each command once, in order."""
    return list(dict.fromkeys(commands))


def _number(number: float | str) -> str:
    return number if isinstance(number, str) else f"{number:.4f}"
