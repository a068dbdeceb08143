"""Two runs of the same questions, side by side: what was lost, what was gained, and where.

`before` is the baseline; a difference is `after` minus `before`. Runs of different data or of
different recipes are refused, since their difference would say nothing about the models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console

from bench.base.tables import print_line, print_table
from bench.cost import spending
from bench.evaluation.comparison.flips import near_ties
from bench.evaluation.comparison.recorded import on_equal_samples
from bench.evaluation.comparison.same import demand_comparable, unit
from bench.evaluation.comparison.side import Side
from bench.evaluation.statistics.bootstrap import bootstrap_interval
from bench.evaluation.statistics.breakdown import (
    CATEGORY_COLUMNS,
    CATEGORY_TITLE,
    CategoryRow,
    breakdown,
    category_cells,
    said_worse,
)
from bench.evaluation.statistics.matching import matched_ids
from bench.evaluation.statistics.paired import (
    difference_interval,
    mcnemar_p,
    paired,
    two_sided_mcnemar_p,
)
from bench.evaluation.statistics.ties import count_flips
from bench.tasks.mmbench import ROTATION

COLUMNS = (
    "metric", "before", "after", "difference", "90% interval", "lost", "gained", "of",
    "p one-sided", "p two-sided",
)  # fmt: skip
BUDGET_COLUMNS = ("run", "name", *spending.COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric. low, high: of the difference, one-sided 95% each, so 90% together. p: exact
    McNemar of "nothing was lost", one-sided, and of "nothing changed"; None for captions, whose
    interval is a bootstrap over images."""

    metric: str
    before: float
    after: float
    low: float
    high: float
    lost: int
    gained: int
    n: int
    p: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """lost, gained: question or image ids, by how much captions changed; near_ties: flipped
    question -> whether rounding explains the flip, None where that is not recorded; remarks: what
    the reader must know before trusting the numbers."""

    before: Side
    after: Side
    rows: Sequence[Row]
    categories: Sequence[CategoryRow]
    lost: Sequence[int]
    gained: Sequence[int]
    remarks: Sequence[str]
    near_ties: Mapping[int, bool | None] = field(default_factory=dict)

    @property
    def budgets(self) -> list[list[str]]:
        """What each run says that it spends, in the order of BUDGET_COLUMNS."""
        return [
            [run, side.name, *spending.cells_of(side.budget)]
            for run, side in (("before", self.before), ("after", self.after))
        ]

    def said(self) -> list[str]:
        """What the tables don't say in words: near-ties, and categories that are worse."""
        if self.before.kind == "coco":
            return []
        lines = [
            f"{len(ids)} {what}: {count_flips(self.near_ties[i] for i in ids).said()}"
            for what, ids in (("lost", self.lost), ("gained", self.gained))
            if ids
        ]
        worse = said_worse(self.categories)
        return [*lines, worse] if worse else lines


def compare(before: Side, after: Side) -> Comparison:
    """Pairs two runs by question or image.

    Raises:
        UserError: the runs differ in data, ids or recipe; the message names the difference.
    """
    before, after, remarks = on_equal_samples(before, after)
    remarks += demand_comparable(before, after)
    changes = {
        i: after.values[i] - before.values[i]
        for i in matched_ids(after.values, before.values, unit=unit(before))
    }
    lost = sorted((i for i, d in changes.items() if d < 0), key=lambda i: (changes[i], i))
    gained = sorted((i for i, d in changes.items() if d > 0), key=lambda i: (-changes[i], i))
    ties: Mapping[int, bool | None] = {}
    categories: list[CategoryRow] = []
    if before.kind == "coco":
        rows = [_caption_row(before, after, list(changes.values()), len(lost), len(gained))]
    else:
        vanilla = [
            {i: hit for i, hit in s.row_hits.items() if i < ROTATION} for s in (before, after)
        ]
        rows = [
            _row("circular accuracy", before.hits, after.hits),
            _row("vanilla accuracy", vanilla[0], vanilla[1]),
        ]
        categories = breakdown(before.categories or after.categories, before.hits, after.hits)
        ties = near_ties(before, after)
    return Comparison(
        before=before,
        after=after,
        rows=rows,
        categories=categories,
        lost=lost,
        gained=gained,
        remarks=remarks,
        near_ties=ties,
    )


def _row(metric: str, before: Mapping[int, bool], after: Mapping[int, bool]) -> Row:
    pairs = paired(before, after, before)
    low, high = difference_interval(pairs)
    return Row(
        metric=metric,
        before=sum(before.values()) / pairs.n,
        after=sum(after.values()) / pairs.n,
        low=low,
        high=high,
        lost=pairs.lost,
        gained=pairs.gained,
        n=pairs.n,
        p=(mcnemar_p(pairs), two_sided_mcnemar_p(pairs)),
    )


def _caption_row(
    before: Side, after: Side, changes: Sequence[float], lost: int, gained: int
) -> Row:
    low, high = bootstrap_interval(np.array(changes), 0.95)
    one, two = (float(np.mean(list(side.values.values()))) for side in (before, after))
    return Row(
        metric="CIDEr",
        before=one,
        after=two,
        low=low,
        high=high,
        lost=lost,
        gained=gained,
        n=len(changes),
        p=None,
    )


def row_cells(row: Row) -> list[str]:
    """In the order of COLUMNS."""
    interval = f"[{row.low:+.4f}, {row.high:+.4f}]"
    values = (f"{row.before:.4f}", f"{row.after:.4f}", f"{row.after - row.before:+.4f}", interval)
    p = ("", "") if row.p is None else [f"{p:.2g}" for p in row.p]
    return [row.metric, *values, str(row.lost), str(row.gained), str(row.n), *p]


def print_comparison(found: Comparison, *, console: Console | None = None) -> None:
    """What each run spends, the paired table, flips by category, and what to know about them."""
    console = console or Console()
    title = f"before: {found.before.name} ({found.before.source})"
    print_line(console, title)
    print_line(console, f"after:  {found.after.name} ({found.after.source})")
    print_table(console, spending.TITLE, BUDGET_COLUMNS, found.budgets)
    cells = [row_cells(row) for row in found.rows]
    print_table(console, "paired", COLUMNS, cells)
    if found.categories:
        cells = [category_cells(row) for row in found.categories]
        print_table(console, CATEGORY_TITLE, CATEGORY_COLUMNS, cells)
    for line in found.said():
        print_line(console, line)
    for remark in found.remarks:
        print_line(console, f"note: {remark}")
