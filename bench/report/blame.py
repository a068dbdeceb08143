"""The last word of a red gate: how to find the commit that did it."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.base.checkout import git
from bench.base.errors import UserError
from bench.base.shell import shell_line
from bench.base.verdict import Outcome, Verdict
from bench.report.origin import Origin

RECORDS = {"golden": "golden", "cost": "bench/cost"}  # written at a commit at which all agreed
BISECTED = ("latency", "accuracy", "cost", "golden", "syncs")
GAP = "GOOD"


@dataclass(frozen=True)
class Blame:
    """The command, to be typed in the root of the checkout; remark: what to know of it, or ""."""

    command: str
    remark: str = ""

    @property
    def heading(self) -> str:
        """What stands above the command."""
        return "Find the commit that did it" + (f" ({self.remark})" if self.remark else "")


def blame(
    title: str,
    origin: Origin,
    verdicts: Sequence[Verdict],
    *,
    options: Sequence[str] = (),
    against: str | None,
    history: Path | None,
) -> Blame | None:
    """None if the gate is not red, is not one of those that can be bisected, or was not run in a
    checkout.

    GOOD is `against`, else the last commit that the history knows as green and that this one
    descends from, else where this branch left the main one, else where the gate's record was
    written; if none of them is an earlier commit, the remark says that one is to be put there.
    Bisecting sees for itself that GOOD is green.
    """
    red = any(verdict.outcome is Outcome.FAIL for verdict in verdicts)
    if title not in BISECTED or not red or origin.commit is None:
        return None
    good, why = against, ""
    if good is None and history is not None:
        from bench.report.history.store import last_green

        with suppress(UserError):  # a damaged history must not hide a red gate
            good = last_green(history, title, origin)
    if good is None:
        good, why = _presumed(title, origin)
    remarks = [why] if why else []
    if origin.dirty:
        remarks.append("commit first: HEAD lacks the changes here")
    bad = "HEAD" if origin.dirty else origin.commit
    behind = ["--", *options] if options else []
    words = ["python", "-m", "bench", "bisect", good, bad, "--gate", title, *behind]
    return Blame(shell_line(words), "; ".join(remarks))


def _presumed(title: str, origin: Origin) -> tuple[str, str]:
    """A commit at which the gate should have been green, and why."""
    target = os.environ.get("GITHUB_BASE_REF")  # of a pull request
    mains = (*((f"origin/{target}",) if target else ()), "origin/HEAD", "origin/main", "main")
    for main in mains:
        found = git("merge-base", str(origin.commit), main)
        if found and (found != origin.commit or origin.dirty):
            return found, f"from where this branch left {main}"
    record = RECORDS.get(title)
    found = git("log", "-1", "--format=%H", str(origin.commit), "--", record) if record else None
    if found and (found != origin.commit or origin.dirty):
        return found, f"from where {record} was last recorded"
    return GAP, f"put for {GAP} a commit at which the gate was green"
