"""What a gate answers, and the exit code a list of answers means."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bench.base.errors import UserError


class Outcome(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    UNSURE = "UNSURE"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One gate's answer.

    gate: what was judged, as a path (`accuracy/paired`, `latency/hybrid/prefill`).
    reason: one line a reviewer can act on.
    reproduce: the shell command that measures it again.
    numbers: what was measured. The tables of `bench.report` show four keys where a gate has
        them: `value`, its interval `low` and `high`, and `bound`; `must_be` (`<=`, `>=`, `>`)
        says on which side of the bound the value has to lie.

    Raises UserError for a PASS that rests on a number which is not finite: something was not
    measured.
    """

    gate: str
    outcome: Outcome
    reason: str
    reproduce: str
    numbers: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "\n" in self.reason:
            raise ValueError(f"the reason of gate {self.gate} is more than one line")
        if self.outcome is Outcome.PASS:
            for name, number in self.numbers.items():
                if not isinstance(number, str) and not math.isfinite(number):
                    raise UserError(
                        f"gate {self.gate}: {name} is {number}, so nothing was measured;"
                        f" run `{self.reproduce}` again"
                    )


def decide(*, passes: bool, fails: bool) -> Outcome:
    """The outcome when the interval lies on the good side of a bound, the bad side, or over it."""
    if passes and fails:
        raise ValueError("an interval cannot lie on both sides of its bound")
    if passes:
        return Outcome.PASS
    return Outcome.FAIL if fails else Outcome.UNSURE


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """1 if any gate failed, else 3 if any is unsure, else 0.

    Raises UserError if there is no verdict at all: what was not measured has not passed.
    """
    if not verdicts:
        raise UserError("no gate was measured: name at least one gate in the profile's [gates]")
    outcomes = {verdict.outcome for verdict in verdicts}
    if Outcome.FAIL in outcomes:
        return 1
    return 3 if Outcome.UNSURE in outcomes else 0
