"""Two runs of the same questions, side by side: what was lost, what was gained, and where.

`before` is the baseline; a difference is `after` minus `before`. Runs of different data or of
different recipes are refused, since their difference would say nothing about the models.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from scipy.stats import binomtest

from bench.comparison.side import Side
from bench.errors import UserError
from bench.gates.captions import bootstrap_interval
from bench.gates.matching import matched_ids
from bench.gates.paired import Pairs, difference_interval
from bench.report import print_line, print_table
from bench.tasks.mmbench import ROTATION
from bench.tasks.table import shown
from bench.tasks.task import NOT_RECORDED

COLUMNS = ("metric", "before", "after", "difference", "90% interval", "lost", "gained", "of", "p")
CATEGORY_COLUMNS = ("by", "category", "before", "after", "lost", "gained", "of", "p", "Holm p")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric. low, high: of the difference, one-sided 95% each, so 90% together. p: exact
    McNemar, two-sided; None for captions, whose interval is a bootstrap over images."""

    metric: str
    before: float
    after: float
    low: float
    high: float
    lost: int
    gained: int
    n: int
    p: float | None


@dataclass(frozen=True, kw_only=True)
class CategoryRow:
    """Flips in one category. holm: `p` adjusted for the number of categories in its level."""

    level: str
    category: str
    before: float
    after: float
    lost: int
    gained: int
    n: int
    p: float
    holm: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """lost, gained: question or image ids, by how much captions changed; remarks: what the
    reader must know before trusting the numbers."""

    before: Side
    after: Side
    rows: Sequence[Row]
    categories: Sequence[CategoryRow]
    lost: Sequence[int]
    gained: Sequence[int]
    remarks: Sequence[str]


def compare(before: Side, after: Side) -> Comparison:
    """Pairs two runs by question or image.

    Raises:
        UserError: the runs differ in data, ids or recipe; the message names the difference.
    """
    remarks = demand_comparable(before, after)
    changes = {
        i: after.values[i] - before.values[i]
        for i in matched_ids(after.values, before.values, unit=_unit(before))
    }
    lost = sorted((i for i, d in changes.items() if d < 0), key=lambda i: (changes[i], i))
    gained = sorted((i for i, d in changes.items() if d > 0), key=lambda i: (-changes[i], i))
    if before.kind == "coco":
        rows = [_caption_row(before, after, list(changes.values()), len(lost), len(gained))]
    else:
        vanilla = [
            {i: hit for i, hit in s.row_hits.items() if i < ROTATION} for s in (before, after)
        ]
        circular = [{i: value == 1.0 for i, value in s.values.items()} for s in (before, after)]
        rows = [
            _row("circular accuracy", circular[0], circular[1]),
            _row("vanilla accuracy", vanilla[0], vanilla[1]),
        ]
    return Comparison(
        before=before,
        after=after,
        rows=rows,
        categories=_categories(before, after),
        lost=lost,
        gained=gained,
        remarks=remarks,
    )


def demand_comparable(before: Side, after: Side) -> list[str]:
    """Remarks on what could not be checked.

    Raises:
        UserError: as `compare` says.
    """
    if before.kind != after.kind:
        raise _differ(before, after, "kind of data", before.kind, after.kind)
    data, other = (side.document.get("data", {}) for side in (before, after))
    for key, meaning in (("hash", "data"), ("prompts", "prompts"), ("images", "images")):
        if key in data and key in other and data[key] != other[key]:
            raise _differ(before, after, meaning, data[key], other[key])
    _demand_equal_rows(before, after)
    remarks = []
    for key in dict.fromkeys([*before.recipe, *after.recipe]):
        one, two = (side.recipe.get(key, NOT_RECORDED) for side in (before, after))
        if NOT_RECORDED in (one, two):
            unknown = [s.name for s, v in ((before, one), (after, two)) if v == NOT_RECORDED]
            remarks.append(f"the {key} of {' and '.join(unknown)} is not recorded, so not compared")
        elif one != two:
            raise _differ(before, after, key, one, two)
    return remarks


def _demand_equal_rows(before: Side, after: Side) -> None:
    if before.kind == "coco":
        matched_ids(after.truth, before.truth, unit="image")
        for index, captions in before.truth.items():
            if captions != after.truth[index]:
                raise _differ(
                    before, after, f"captions of image {index}", captions, after.truth[index]
                )
        return
    matched_ids(after.row_hits, before.row_hits, unit="row")
    for index, item in before.questions.items() if after.questions else ():
        other = after.questions[index]
        if item.question.strip() != other.question.strip():
            raise _differ(before, after, f"question {index}", item.question, other.question)
        if item.answer != other.answer:
            raise _differ(before, after, f"answer of row {index}", item.answer, other.answer)
        # Spreadsheets in circulation lost options that read "None", so only shared ones count.
        for letter in item.options.keys() & other.options.keys():
            if item.options[letter].strip() != other.options[letter].strip():
                one, two = item.options[letter], other.options[letter]
                raise _differ(before, after, f"option {letter} of row {index}", one, two)
    if before.answers_sha256 != after.answers_sha256:
        raise _differ(before, after, "right answers", before.answers_sha256, after.answers_sha256)


def _differ(before: Side, after: Side, what: str, one: object, two: object) -> UserError:
    return UserError(
        f"{before.source} and {after.source} can't be compared, they differ in {what}:"
        f" {shown(one, 120)} and {shown(two, 120)}; evaluate both alike"
    )


def _unit(side: Side) -> str:
    return "image" if side.kind == "coco" else "question"


def _row(metric: str, before: Mapping[int, bool], after: Mapping[int, bool]) -> Row:
    pairs = _pairs(before, after, before)
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
        p=two_sided_mcnemar_p(pairs),
    )


def _pairs(before: Mapping[int, bool], after: Mapping[int, bool], ids: Iterable[int]) -> Pairs:
    chosen = list(ids)
    return Pairs(
        lost=sum(before[i] and not after[i] for i in chosen),
        gained=sum(after[i] and not before[i] for i in chosen),
        n=len(chosen),
    )


def two_sided_mcnemar_p(pairs: Pairs) -> float:
    """Exact McNemar test of "neither run is better": the gates ask about losses alone."""
    discordant = pairs.lost + pairs.gained
    return float(binomtest(pairs.lost, discordant, 0.5).pvalue) if discordant else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: the chance of one false alarm among them all stays below p.

    Holm S. (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal
    of Statistics 6(2):65-70.
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


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


def _categories(before: Side, after: Side) -> list[CategoryRow]:
    """By level, most flips first."""
    rows = []
    hits = [{i: value == 1.0 for i, value in side.values.items()} for side in (before, after)]
    for level, names in (before.categories or after.categories).items():
        members: dict[str, list[int]] = {}
        for group, name in names.items():
            members.setdefault(name, []).append(group)
        pairs = {name: _pairs(hits[0], hits[1], ids) for name, ids in members.items()}
        p_values = [two_sided_mcnemar_p(pair) for pair in pairs.values()]
        table = [
            CategoryRow(
                level=level,
                category=name,
                before=sum(hits[0][i] for i in members[name]) / pair.n,
                after=sum(hits[1][i] for i in members[name]) / pair.n,
                lost=pair.lost,
                gained=pair.gained,
                n=pair.n,
                p=p,
                holm=adjusted,
            )
            for (name, pair), p, adjusted in zip(
                pairs.items(), p_values, holm(p_values), strict=True
            )
        ]
        rows += sorted(table, key=lambda row: (-row.lost - row.gained, row.category))
    return rows


def row_cells(row: Row) -> list[str]:
    """In the order of COLUMNS."""
    interval = f"[{row.low:+.4f}, {row.high:+.4f}]"
    values = (f"{row.before:.4f}", f"{row.after:.4f}", f"{row.after - row.before:+.4f}", interval)
    p = "" if row.p is None else f"{row.p:.2g}"
    return [row.metric, *values, str(row.lost), str(row.gained), str(row.n), p]


def category_cells(row: CategoryRow) -> list[str]:
    """In the order of CATEGORY_COLUMNS."""
    counts = (str(row.lost), str(row.gained), str(row.n))
    shares = (f"{row.before:.3f}", f"{row.after:.3f}")
    return [row.level, row.category, *shares, *counts, f"{row.p:.2g}", f"{row.holm:.2g}"]


def print_comparison(found: Comparison, *, console: Console | None = None) -> None:
    """The paired table, flips by category, and what to know about them."""
    console = console or Console()
    title = f"before: {found.before.name} ({found.before.source})"
    print_line(console, title)
    print_line(console, f"after:  {found.after.name} ({found.after.source})")
    cells = [row_cells(row) for row in found.rows]
    print_table(console, "paired", COLUMNS, cells)
    if found.categories:
        cells = [category_cells(row) for row in found.categories]
        title = "flips by category, McNemar p two-sided, Holm-adjusted in each level"
        print_table(console, title, CATEGORY_COLUMNS, cells)
    for remark in found.remarks:
        print_line(console, f"note: {remark}")
