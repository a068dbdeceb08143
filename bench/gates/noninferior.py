"""The two questions of an accuracy gate, whatever the score: no worse than the reference by more
than a margin, and not below a floor."""

from collections.abc import Mapping

from bench.verdict import Outcome, Verdict


def difference_verdict(
    outcome: Outcome,
    *,
    difference: float,
    interval: tuple[float, float],
    margin: float,
    unit: str,
    told: str,
    reproduce: str,
    gate: str,
    numbers: Mapping[str, float],
    doubt: str = "",
) -> Verdict:
    """`outcome` with what it rests on.

    interval: of the difference, one-sided 95% each.
    unit: what a longer run would have more of ("question", "image").
    told: the difference and its counts in words.
    doubt: replaces the reason of an UNSURE that another interval would not settle.
    """
    advice = {
        Outcome.PASS: "within the margin",
        Outcome.FAIL: "loses more than the margin",
        Outcome.UNSURE: doubt or f"interval crosses the margin, evaluate more {unit}s",
    }
    low, high = interval
    judged: dict[str, float | str] = {"must_be": ">", "bound": -margin}
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
    floor: float,
    floor_said: str,
    told: str,
    reproduce: str,
    gate: str,
    numbers: Mapping[str, float],
) -> Verdict:
    """The score itself against the floor; its interval, two-sided 95%, is shown and not judged,
    since the floor is a score on these very samples."""
    above = score >= floor
    low, high = interval
    judged: dict[str, float | str] = {"must_be": ">=", "bound": floor}
    judged |= {"value": score, "low": low, "high": high}
    return Verdict(
        gate=gate,
        outcome=Outcome.PASS if above else Outcome.FAIL,
        reason=f"{'at or above' if above else 'below'} the floor of {floor_said}: {told}",
        reproduce=reproduce,
        numbers={**judged, **numbers},
    )
