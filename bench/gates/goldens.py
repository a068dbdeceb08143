"""The golden gate: not one patch, position or mask may move unseen."""

import os
from collections.abc import Sequence

from rich.console import Console

from bench.base.errors import UserError
from bench.base.sealed import FOLDER
from bench.base.tables import print_line
from bench.base.verdict import Outcome, Verdict
from bench.goldens.cases import cases
from bench.goldens.store import COMMAND, Difference, compare, regenerate

PICTURES = 3
NAMED = 3  # records that a verdict names


def golden_gate(*, reproduce: str) -> list[Verdict]:
    """One verdict over all goldens; pictures of what differs go to the terminal.

    Raises UserError if goldens and cases do not match one to one.
    """
    console = Console()
    with console.status("goldens") as status:
        differences = compare(lambda case: status.update(f"golden {case}"))
    _show(differences, console)
    wrong = sorted({d.case for d in differences})
    total = len(cases())
    return [recorded_verdict("golden", wrong, total, regenerate=COMMAND, reproduce=reproduce)]


def recorded_verdict(
    gate: str, changed: Sequence[str], total: int, *, regenerate: str, reproduce: str
) -> Verdict:
    """PASS if none of `total` records changed; `changed` names those that did."""
    reason = f"all {total} are as recorded, to the last digit"
    if changed:
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        reason = (
            f"{len(changed)} of {total} differ from the record: {'; '.join(changed[:NAMED])}{more}."
            f" If that is intended, `{regenerate}` and review"
        )
    return Verdict(
        gate=gate,
        outcome=Outcome.FAIL if changed else Outcome.PASS,
        reason=reason,
        reproduce=reproduce,
        numbers={"value": float(len(changed)), "must_be": "<=", "bound": 0.0},
    )


def regenerate_for_review() -> None:
    """Rewrite the goldens and print what changed; refused under CI."""
    refuse_under_ci()
    console = Console()
    FOLDER.mkdir(exist_ok=True)
    with console.status("goldens") as status:
        changed = regenerate(lambda case: status.update(f"golden {case}"))
    _show(changed, console)
    console.print(f"{len({d.case for d in changed})} of {len(cases())} goldens changed in {FOLDER}")


def refuse_under_ci() -> None:
    """Raises UserError under CI: a gate must not rewrite what it checks."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        raise UserError("goldens are not rewritten under CI: run `nox -s regen` and review it")


def _show(differences: list[Difference], console: Console) -> None:
    """All differences by name, the first few as pictures: they mostly say the same."""
    pictures = 0
    for difference in differences:
        print_line(console, f"{difference.case}: {difference.summary}")
        if difference.picture and pictures < PICTURES:
            pictures += 1
            for line in difference.picture.splitlines():
                print_line(console, line)
