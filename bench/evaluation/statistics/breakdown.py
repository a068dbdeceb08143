"""Flips by category: where a run lost or gained, with the doubt that many categories bring.

The verdict stays with all questions and its margin. A margin allows a loss, so a category that is
significantly worse does not fail a run that lost less than the margin: it is named beside the
verdict, and its numbers are kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.evaluation.statistics.paired import difference_interval, paired, two_sided_mcnemar_p

SIGNIFICANT = 0.05
CATEGORY_COLUMNS = (
    "by", "category", "before", "after", "difference", "90% interval", "lost", "gained", "of",
    "p two-sided", "Holm p two-sided",
)  # fmt: skip
CATEGORY_TITLE = (
    "flips by category; p is exact McNemar, two-sided, Holm p that adjusted within a level"
)
PREFIX = "category/"  # of what a verdict's numbers hold: category/LEVEL/NAME/FIELD


@dataclass(frozen=True, kw_only=True)
class CategoryRow:
    """One category of one level.

    before, after: accuracy, a share.
    low, high: of the difference after minus before, one-sided 95% each.
    p_two_sided: exact McNemar, so that a category that gained is seen, too.
    holm_p_two_sided: the same, adjusted for the number of categories in the level.
    """

    level: str
    category: str
    before: float
    after: float
    low: float
    high: float
    lost: int
    gained: int
    n: int
    p_two_sided: float
    holm_p_two_sided: float

    @property
    def difference(self) -> float:
        return (self.gained - self.lost) / self.n

    @property
    def worse(self) -> bool:
        """Whether it lost more than chance explains, among all the categories of its level."""
        return self.holm_p_two_sided < SIGNIFICANT and self.lost > self.gained


def breakdown(
    levels: Mapping[str, Mapping[int, str]],
    before: Mapping[int, bool],
    after: Mapping[int, bool],
) -> list[CategoryRow]:
    """By level, most flips first. levels: level -> question -> its category.

    Each level is a family of its own: it parts the same questions once more.
    """
    rows = []
    for level, names in levels.items():
        members: dict[str, list[int]] = {}
        for question, name in names.items():
            members.setdefault(name, []).append(question)
        pairs = {name: paired(before, after, ids) for name, ids in members.items()}
        p_values = [two_sided_mcnemar_p(pair) for pair in pairs.values()]
        table = []
        for (name, pair), p, adjusted in zip(pairs.items(), p_values, holm(p_values), strict=True):
            low, high = difference_interval(pair)
            table.append(
                CategoryRow(
                    level=level,
                    category=name,
                    before=sum(before[i] for i in members[name]) / pair.n,
                    after=sum(after[i] for i in members[name]) / pair.n,
                    low=low,
                    high=high,
                    lost=pair.lost,
                    gained=pair.gained,
                    n=pair.n,
                    p_two_sided=p,
                    holm_p_two_sided=adjusted,
                )
            )
        rows += sorted(table, key=lambda row: (-row.lost - row.gained, row.category))
    return rows


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


def said_worse(rows: Iterable[CategoryRow]) -> str:
    """Names the categories that are significantly worse; empty if none is."""
    named = [
        f"{row.category} (Holm p = {row.holm_p_two_sided:.2g} two-sided)"
        for row in rows
        if row.worse
    ]
    return f"significantly worse: {', '.join(named)}" if named else ""


def category_numbers(rows: Iterable[CategoryRow]) -> dict[str, float]:
    """For a verdict's numbers; `category_rows` reads them back."""
    numbers: dict[str, float] = {}
    for row in rows:
        fields = asdict(row)
        path = f"{PREFIX}{fields.pop('level')}/{fields.pop('category')}"
        numbers |= {f"{path}/{name}": value for name, value in fields.items()}
    return numbers


def category_rows(numbers: Mapping[str, float | str]) -> list[CategoryRow]:
    """The rows that `category_numbers` put into a verdict's numbers; none if there are none."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for name, value in numbers.items():
        if name.startswith(PREFIX) and not isinstance(value, str):
            path, _, field = name.removeprefix(PREFIX).rpartition("/")
            level, _, category = path.partition("/")
            found.setdefault((level, category), {})[field] = value
    return [
        CategoryRow(
            level=level,
            category=category,
            before=fields["before"],
            after=fields["after"],
            low=fields["low"],
            high=fields["high"],
            lost=int(fields["lost"]),
            gained=int(fields["gained"]),
            n=int(fields["n"]),
            p_two_sided=fields["p_two_sided"],
            holm_p_two_sided=fields["holm_p_two_sided"],
        )
        for (level, category), fields in found.items()
    ]


def category_cells(row: CategoryRow) -> list[str]:
    """In the order of CATEGORY_COLUMNS."""
    shares = (f"{row.before:.3f}", f"{row.after:.3f}", f"{row.difference:+.3f}")
    counts = (str(row.lost), str(row.gained), str(row.n))
    interval = f"[{row.low:+.3f}, {row.high:+.3f}]"
    p = (f"{row.p_two_sided:.2g}", f"{row.holm_p_two_sided:.2g}")
    return [row.level, row.category, *shares, interval, *counts, *p]
