"""A gate's summary for a pull request: verdict first, then numbers, then one command."""

import re
from collections.abc import Sequence

from bench.base.printable import printable
from bench.base.verdict import Outcome, Verdict, exit_code
from bench.cost.spending import TITLE, Budgets
from bench.evaluation.statistics.breakdown import CATEGORY_COLUMNS, category_cells, category_rows
from bench.report.blame import Blame
from bench.report.cells import (
    BUDGET_COLUMNS,
    OVERALL,
    TIMING_COLUMNS,
    VERDICT_COLUMNS,
    budget_rows,
    timing_cells,
    unique,
    verdict_cells,
)
from bench.report.timing import Timing

# Where GitHub sees a name to call, an issue or an address; a space of no width keeps it text.
LINKED = re.compile(r"(?<=[@#])(?=\w)|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)


def markdown(
    verdicts: Sequence[Verdict],
    *,
    title: str,
    timed: Sequence[Timing] = (),
    budgets: Budgets | None = None,
    blame: Blame | None = None,
    code: str | None = None,
) -> str:
    """For a pull request: the verdict, the numbers with intervals and bounds, how to reproduce.

    blame: the command that finds the commit; the last word of a red gate's summary.

    code: which revision was judged.

    Raises UserError if there is no verdict.
    """
    overall = OVERALL[exit_code(verdicts)]
    unhappy = [verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS]
    lines = [f"## {title}: {overall}", ""]
    if code is not None:
        lines += [f"Code: {code}", ""]
    lines += [f"- **{v.outcome}** {_inline(v.gate)}: {_inline(v.reason)}" for v in unhappy]
    if unhappy:
        lines.append("")
    lines += markdown_table(VERDICT_COLUMNS, [verdict_cells(verdict) for verdict in verdicts])
    if timed:
        lines += ["", *markdown_table(TIMING_COLUMNS, [timing_cells(row) for row in timed])]
    if budgets:
        lines += ["", f"{TITLE}:", "", *markdown_table(BUDGET_COLUMNS, budget_rows(budgets))]
    flips = [row for verdict in verdicts for row in category_rows(verdict.numbers)]
    if flips:
        lines += ["", *markdown_table(CATEGORY_COLUMNS, [category_cells(row) for row in flips])]
    lines += ["", "Reproduce:", "", *_commands(unique(v.reproduce for v in verdicts))]
    if blame is not None and overall is Outcome.FAIL:
        lines += ["", f"{_inline(blame.heading)}:", "", *_commands([blame.command])]
    return "\n".join([*lines, ""])


def _commands(commands: Sequence[str]) -> list[str]:
    return ["```bash", *map(printable, commands), "```"]


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table's lines; no cell links or calls anybody."""
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(_inline(cell) for cell in row) for row in rows]
    return [f"| {line} |" for line in lines]


def _inline(text: str) -> str:
    """Text as it is, inside a markdown table or list: one line, that links and calls nobody."""
    text = LINKED.sub("\u200b", printable(text))
    for character in "\\|`*_<>[]":
        text = text.replace(character, f"\\{character}")
    return text
