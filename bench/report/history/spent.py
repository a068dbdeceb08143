"""What arms spent on a prompt over commits: a ratio can step because a budget did."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.cost import spending
from bench.cost.spending import Budget, cells_of
from bench.report.history.store import Entry

COLUMNS = ("gate", "arm", "settings", "runs", *spending.COLUMNS, "changes")


@dataclass(frozen=True, kw_only=True)
class Spent:
    """One arm of one gate under one set of settings.

    Attributes:
        title: the gate's.
        arm: empty where no run says what its arms spend.
        recorded: runs that say it.
        unrecorded: runs that don't, being older.
        newest: of the newest run; None if it does not say it.
        changes: what changed, and the label of the run in which it did.
    """

    title: str
    arm: str
    settings: str
    recorded: int
    unrecorded: int
    newest: Budget | None
    changes: Sequence[tuple[str, str]]

    @property
    def cells(self) -> list[str]:
        """In the order of COLUMNS."""
        runs = str(self.recorded)
        if self.unrecorded:
            runs += f" and {self.unrecorded} not recorded"
        changes = "; ".join(f"{text} at {label}" for text, label in self.changes)
        none = "none" if self.recorded > 1 else ""
        spent = cells_of(self.newest)
        return [self.title, self.arm, self.settings, runs, *spent, changes or none]


def all_spent(entries: Sequence[Entry]) -> list[Spent]:
    """By gate, settings and arm, in order of first appearance. Gates without arms are left out."""
    groups: dict[tuple[str, str], list[tuple[Entry, dict[str, str]]]] = {}
    for entry, changed in zip(entries, changes(entries), strict=True):
        groups.setdefault((entry.title, entry.origin.asked), []).append((entry, changed))
    found = []
    for (title, settings), group in groups.items():
        silent = sum(entry.budgets is None for entry, _ in group)
        newest = group[-1][0].budgets
        arms = list(dict.fromkeys(arm for entry, _ in group for arm in entry.budgets or ()))
        if not arms and newest is None:
            arms = [""]
        found += [
            Spent(
                title=title,
                arm=arm,
                settings=settings,
                recorded=sum(arm in (entry.budgets or ()) for entry, _ in group),
                unrecorded=silent,
                newest=None if newest is None else newest.get(arm),
                changes=[
                    (changed[arm], entry.origin.label) for entry, changed in group if arm in changed
                ],
            )
            for arm in arms
        ]
    return found


def changes(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """For each run the arms that spend something else than when it was last recorded, of the same
    gate and settings: `tokens 36 -> 32, FLOPs 1.2 G -> 1.1 G`."""
    last: dict[tuple[str, str, str], Budget] = {}
    found = []
    for entry in entries:
        changed = {}
        for arm, now in (entry.budgets or {}).items():
            key = (entry.title, entry.origin.asked, arm)
            if (before := last.get(key, now)) != now:
                changed[arm] = _difference(before, now)
            last[key] = now
        found.append(changed)
    return found


def _difference(before: Budget, now: Budget) -> str:
    """Numbers whose three digits are the same are shown whole."""
    told = []
    exact = zip(asdict(before).values(), asdict(now).values(), strict=True)
    shown = zip(before.cells, now.cells, strict=True)
    for name, numbers, cells in zip(spending.COLUMNS, exact, shown, strict=True):
        if numbers[0] != numbers[1]:
            old, new = cells if cells[0] != cells[1] else map(str, numbers)
            told.append(f"{name} {old} -> {new}")
    return ", ".join(told)
