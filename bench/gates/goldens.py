"""The golden gate: not one patch, position or mask may move unseen."""

import os
from collections.abc import Callable, Sequence

from rich.console import Console

from bench.arms.own import raised
from bench.arms.published import METHODS
from bench.base.errors import UserError
from bench.base.sealed import FOLDER
from bench.base.tables import print_line
from bench.base.verdict import Outcome, Verdict
from bench.goldens.cases import MIXED, cases, method_case, name_of, recorded_keep
from bench.goldens.picture import kept
from bench.goldens.store import COMMAND, Difference, compare, regenerate
from hybrid import Keep

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


def method_golden(
    arm: str, make: Callable[[Keep], object], keep: Keep | None, *, reproduce: str
) -> list[Verdict]:
    """The same of one method: by its golden, or shown and UNSURE where there is none.

    Args:
        arm: its name.
        make: of a budget.
        keep: the budget; the golden's if None, and of a method without one 36.

    Raises:
        UserError: the method takes no such budget, or raises.
    """
    asked = recorded_keep(arm) if keep is None else keep
    if arm in METHODS and asked == recorded_keep(arm):
        differences = compare(only=(name_of(arm),))
        _show(differences, Console())
        wrong = sorted({d.case for d in differences})
        return [recorded_verdict("golden", wrong, 1, regenerate=COMMAND, reproduce=reproduce)]
    try:
        made = method_case(make(asked)).run()
    except BaseException as error:
        raise raised(arm, error, f"keeping {asked} of the integer model's 576 patches") from error
    console = Console()
    for image, record in zip(MIXED, made.records, strict=False):
        first, *rows = kept(record)
        for line in (f"{arm}, keep {asked}, {image}: {first}", *rows):
            print_line(console, line)
    other = recorded_keep(arm) if arm in METHODS else None
    return [unrecorded("golden", arm, asked, other, reproduce=reproduce)]


def unrecorded(
    gate: str, arm: str, keep: Keep, recorded: Keep | None, *, reproduce: str
) -> Verdict:
    """UNSURE: what is shown has nothing to be compared with. recorded: the arm's at another one."""
    there = "" if recorded is None else f", only one at keep {recorded}"
    return Verdict(
        gate=gate,
        outcome=Outcome.UNSURE,
        reason=f"{arm} at keep {keep} has no record{there}: it is shown, and judged by nothing",
        reproduce=reproduce,
    )


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
