"""The two questions of an accuracy gate, whatever the score: no worse than the reference by more
than a margin, and not below a floor."""

import math
from collections.abc import Mapping

from scipy.stats import norm

from bench.base.verdict import Outcome, Verdict

POWER = 0.8  # of the number of samples that an UNSURE advises
HOPELESS = 100  # times what was evaluated: the difference lies on the margin itself


def advised(n: int, score: float) -> int | None:
    """How many samples would decide four times in five, if what was seen of n is the truth.

    score: standard errors between the difference and the margin; they grow with the root of n.
    Rounded up to two digits. None where the difference is as good as on the margin.
    """
    wanted = float(norm.ppf(0.95) + norm.ppf(POWER))
    if abs(score) * math.sqrt(HOPELESS) < wanted:
        return None
    needed = n * (wanted / score) ** 2
    digit = 10.0 ** max(math.floor(math.log10(needed)) - 1, 0)
    return math.ceil(needed / digit) * int(digit)


def _unsettled(n: int, score: float, unit: str) -> str:
    more = advised(n, score) if math.isfinite(score) else None
    advice = (
        f"evaluate more {unit}s, about {more} in all"
        if more
        else f"evaluate more {unit}s, though it lies so close to it that few will not do"
    )
    return f"interval crosses the margin, {advice}"


def difference_verdict(
    outcome: Outcome,
    *,
    difference: float,
    interval: tuple[float, float],
    margin: float | None,
    unit: str,
    n: int,
    score: float,
    told: str,
    reproduce: str,
    gate: str,
    numbers: Mapping[str, float],
    doubt: str = "",
) -> Verdict:
    """`outcome` with what it rests on; without a margin it is told, and UNSURE.

    interval: of the difference, one-sided 95% each.
    unit: what a longer run would have more of ("question", "image"); n of them were evaluated.
    score: standard errors between the difference and the margin, for `advised`.
    told: the difference and its counts in words.
    doubt: replaces the reason of an UNSURE that another interval would not settle.
    """
    if margin is None:
        outcome, doubt = Outcome.UNSURE, "no margin to judge it by, give the profile's gate one"
    advice = {
        Outcome.PASS: "within the margin",
        Outcome.FAIL: "loses more than the margin",
        Outcome.UNSURE: doubt or _unsettled(n, score, unit),
    }
    low, high = interval
    judged: dict[str, float | str] = {}
    if margin is not None:
        judged = {"must_be": ">", "bound": -margin}
    judged |= {"value": difference, "low": low, "high": high}
    return Verdict(
        gate=gate,
        outcome=outcome,
        reason=f"{advice[outcome]}: {told}",
        reproduce=reproduce,
        numbers={**judged, **numbers},
    )


def floor_verdict(
    *,
    score: float,
    interval: tuple[float, float],
    floor: float | None,
    floor_said: str,
    told: str,
    reproduce: str,
    gate: str,
    numbers: Mapping[str, float],
) -> Verdict:
    """The score itself against the floor; its interval, two-sided 95%, is shown and not judged,
    since the floor is a score on these very samples. Without a floor it is told, and UNSURE."""
    low, high = interval
    judged: dict[str, float | str] = {"value": score, "low": low, "high": high}
    if floor is None:
        outcome, reason = Outcome.UNSURE, "no floor to judge it by, give the profile's gate one"
    else:
        above = score >= floor
        outcome = Outcome.PASS if above else Outcome.FAIL
        reason = f"{'at or above' if above else 'below'} the floor of {floor_said}"
        judged = {"must_be": ">=", "bound": floor, **judged}
    return Verdict(
        gate=gate,
        outcome=outcome,
        reason=f"{reason}: {told}",
        reproduce=reproduce,
        numbers={**judged, **numbers},
    )
