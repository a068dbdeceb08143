"""Verdicts and timings for people: tables on a terminal, markdown for a pull request, JSON."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.errors import UserError
from bench.tasks.atomic import write_atomically
from bench.tasks.task import Metric, Score
from bench.timing.roofline import Floor
from bench.timing.samples import Samples
from bench.verdict import Outcome, Verdict, exit_code

COLOURS = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.UNSURE: "yellow"}
OVERALL = {0: Outcome.PASS, 1: Outcome.FAIL, 3: Outcome.UNSURE}
VERDICT_COLUMNS = ("gate", "verdict", "value", "interval", "bound", "why")
SCORE_COLUMNS = ("by", "metric", "value", "standard error", "count")
TIMING_COLUMNS = ("case", "arm", "stage", "p50", "p90", "calls", "against its floor")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One stage of one arm, beside the least time it could take. case: what all arms were given,
    such as "batch 8"."""

    case: str
    arm: str
    stage: str
    p50_ms: float
    p90_ms: float
    calls: int
    floor: Floor | None


def timings(
    samples: Samples,
    floors: Mapping[str, Mapping[str, Floor]] | None = None,
    *,
    case: str = "",
) -> list[Timing]:
    """Every stage that was timed. floors: arm -> `bench.timing.roofline.answer_floors`."""
    rows = []
    for arm, (first, _) in (samples.blocks[0] if samples.blocks else {}).items():
        for stage in first:
            p50, p90 = 1e3 * np.quantile(samples.seconds(arm, stage), [0.5, 0.9])
            rows.append(
                Timing(
                    case=case,
                    arm=arm,
                    stage=stage,
                    p50_ms=float(p50),
                    p90_ms=float(p90),
                    calls=2 * len(samples.blocks),
                    floor=(floors or {}).get(arm, {}).get(stage),
                )
            )
    return rows


def print_verdicts(
    verdicts: Sequence[Verdict], *, title: str, console: Console | None = None
) -> None:
    """A table, and how to reproduce what did not pass. Plain aligned text if no terminal."""
    rows = [_verdict_cells(verdict) for verdict in verdicts]
    colours = [COLOURS[verdict.outcome] for verdict in verdicts]
    console = console or Console()
    print_table(console, title, VERDICT_COLUMNS, rows, colours)
    for command in _unique(v.reproduce for v in verdicts if v.outcome is not Outcome.PASS):
        print_line(console, f"reproduce: {command}")


def print_timings(rows: Sequence[Timing], *, title: str, console: Console | None = None) -> None:
    """A table. Plain aligned text if no terminal."""
    cells = [_timing_cells(row) for row in rows]
    print_table(console or Console(), title, TIMING_COLUMNS, cells)


def print_score(score: Score, *, title: str, console: Console | None = None) -> None:
    """Every metric and category with its standard error, and the recipe that they hold for."""
    rows = [_metric_cells("", name, metric) for name, metric in score.metrics.items()]
    for level, table in score.categories.items():
        rows += [_metric_cells(level, name, metric) for name, metric in table.items()]
    console = console or Console()
    print_table(console, title, SCORE_COLUMNS, rows)
    recipe = ", ".join(f"{key} {value}" for key, value in score.recipe.items())
    print_line(console, f"{score.samples} answers, {score.unreadable} unreadable; {recipe}")


def markdown(verdicts: Sequence[Verdict], *, title: str, timed: Sequence[Timing] = ()) -> str:
    """For a pull request: the verdict, the numbers with intervals and bounds, how to reproduce.

    Raises UserError if there is no verdict.
    """
    overall = OVERALL[exit_code(verdicts)]
    unhappy = [verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS]
    lines = [f"## {title}: {overall}", ""]
    lines += [f"- **{v.outcome}** {_inline(v.gate)}: {_inline(v.reason)}" for v in unhappy]
    if unhappy:
        lines.append("")
    lines += _markdown_table(VERDICT_COLUMNS, [_verdict_cells(verdict) for verdict in verdicts])
    if timed:
        lines += ["", *_markdown_table(TIMING_COLUMNS, [_timing_cells(row) for row in timed])]
    lines += ["", "Reproduce:", "", "```bash", *_unique(v.reproduce for v in verdicts), "```", ""]
    return "\n".join(lines)


def write_report(
    folder: Path, verdicts: Sequence[Verdict], *, title: str, timed: Sequence[Timing] = ()
) -> None:
    """Writes `{title}-report.md` and `{title}-verdicts.json` into folder, and appends the
    markdown to the file that GITHUB_STEP_SUMMARY names, if it is set.

    Raises UserError if there is no verdict, or a file cannot be written.
    """
    summary = markdown(verdicts, title=title, timed=timed)
    write_atomically(folder / f"{title}-report.md", summary.encode())
    document = json.dumps([as_json(verdict) for verdict in verdicts], indent=2, allow_nan=False)
    write_atomically(folder / f"{title}-verdicts.json", f"{document}\n".encode())
    job_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if job_summary:
        try:
            with Path(job_summary).open("a", encoding="utf-8") as file:
                file.write(summary + "\n")
        except OSError as error:
            raise UserError(
                f"GITHUB_STEP_SUMMARY {job_summary}: can't be written: {error.strerror}"
            ) from error


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


def _verdict_cells(verdict: Verdict) -> list[str]:
    numbers = verdict.numbers
    interval = bound = ""
    if "low" in numbers and "high" in numbers:
        interval = f"[{_number(numbers['low'])}, {_number(numbers['high'])}]"
    if "bound" in numbers:
        bound = f"{numbers.get('must_be', '')} {_number(numbers['bound'])}".strip()
    value = _number(numbers["value"]) if "value" in numbers else ""
    return [verdict.gate, str(verdict.outcome), value, interval, bound, verdict.reason]


def _timing_cells(row: Timing) -> list[str]:
    against = ""
    if row.floor is not None:
        times = row.p50_ms / (1e3 * row.floor.seconds)
        against = f"{times:.1f}x the {row.floor.wall} floor, {1e3 * row.floor.seconds:.3g} ms"
    milliseconds = (f"{row.p50_ms:.3g} ms", f"{row.p90_ms:.3g} ms")
    return [row.case, row.arm, row.stage, *milliseconds, str(row.calls), against]


def _metric_cells(by: str, name: str, metric: Metric) -> list[str]:
    error = "" if metric.standard_error is None else f"{metric.standard_error:.4f}"
    return [by, name, repr(metric.value), error, str(metric.count)]


def _number(number: float | str) -> str:
    return number if isinstance(number, str) else f"{number:.4f}"


def print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    colours: Sequence[str] = (),
) -> None:
    """A table on a terminal, aligned text in a log. colours: of each row's second cell."""
    colours = colours or [""] * len(rows)
    if console.is_terminal:
        table = Table(*columns, title=title, title_justify="left")
        for row, colour in zip(rows, colours, strict=True):
            table.add_row(row[0], Text(row[1], style=colour), *(Text(cell) for cell in row[2:]))
        console.print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    print_line(console, title)
    for row in (columns, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_line(console, "  ".join(cells).rstrip())


def print_line(console: Console, line: str) -> None:
    """One line as it is, never wrapped or coloured."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(_inline(cell) for cell in row) for row in rows]
    return [f"| {line} |" for line in lines]


def _inline(text: str) -> str:
    """Text as it is, inside a markdown table or list."""
    for character in "\\|`*_<>[]":
        text = text.replace(character, f"\\{character}")
    return text


def _unique(commands: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(commands))
