"""The accuracy gate: as good as the reference of the same job, and above an absolute floor."""

from collections.abc import Iterable, Mapping
from numbers import Real

import numpy as np

from bench.errors import UserError
from bench.gates.matching import matched_ids
from bench.gates.paired import Pairs, difference_interval, mcnemar_p, wilson_interval
from bench.verdict import Outcome, Verdict, decide

ADVICE = {
    Outcome.PASS: "within the margin",
    Outcome.FAIL: "loses more than the margin",
    Outcome.UNSURE: "interval crosses the margin, evaluate more questions",
}


def accuracy_gate(
    *,
    hits: Mapping[int, bool],
    reference_hits: Mapping[int, bool],
    margin: float,
    floor: float,
    reproduce: str,
    reference: str = "dense",
    gate: str = "accuracy",
) -> list[Verdict]:
    """Judges circular hits by question: `{gate}/paired`, then `{gate}/floor`.

    hits, reference_hits: question id -> whether all of its circular rows were right.
    margin: the loss of accuracy that is still acceptable, 0.03 for three points.
    floor: the circular accuracy below which no comparison helps. On a subset it is what the
        recorded run scored on those same questions: `floor_on`.

    Paired: one-sided 95% bounds of the difference (`bench.gates.paired`). PASS if even the lower
    bound is above -margin, FAIL if even the upper one is below it, else UNSURE. The floor is
    compared with the accuracy itself; its Wilson interval is shown, not judged, since the floor
    is a score on these very questions.

    Raises UserError for empty runs, differing questions, a hit that is not a boolean, or a margin
    or floor that is no share of 1.
    """
    if not 0 < margin < 1:
        raise UserError(f"accuracy margin is {margin}: give the acceptable loss as a share, 0.03")
    if not 0 <= floor <= 1:
        raise UserError(f"accuracy floor is {floor}: give it as a share of 1, such as 0.553")
    ids = matched_ids(hits, reference_hits, unit="question")
    now = np.array([_checked(hits, i, "run") for i in ids])
    before = np.array([_checked(reference_hits, i, "reference") for i in ids])
    pairs = Pairs(lost=int((before & ~now).sum()), gained=int((now & ~before).sum()), n=len(ids))
    return [
        _paired_verdict(
            pairs, margin=margin, reproduce=reproduce, reference=reference, gate=f"{gate}/paired"
        ),
        _floor_verdict(
            int(now.sum()), len(ids), floor=floor, reproduce=reproduce, gate=f"{gate}/floor"
        ),
    ]


def floor_on(recorded_hits: Mapping[int, bool], questions: Iterable[int]) -> float:
    """Circular accuracy of a recorded run on these questions: the floor of a subset.

    Raises UserError for no questions, or one that the recorded run did not answer.
    """
    asked = sorted(questions)
    if not asked:
        raise UserError("the subset holds no questions: name at least one circular group")
    missing = [question for question in asked if question not in recorded_hits]
    if missing:
        raise UserError(
            f"the recorded run lacks question {missing[0]}: take the subset from its questions"
        )
    return sum(_checked(recorded_hits, i, "recorded run") for i in asked) / len(asked)


def _checked(hits: Mapping[int, bool], question: int, name: str) -> bool:
    hit = hits[question]
    if not isinstance(hit, Real | np.bool_) or hit not in (0, 1):
        raise UserError(
            f"question {question} of the {name}: hit is {hit!r}, must be true or false; score it"
        )
    return bool(hit)


def _paired_verdict(
    pairs: Pairs, *, margin: float, reproduce: str, reference: str, gate: str
) -> Verdict:
    low, high = difference_interval(pairs)
    outcome = decide(passes=low > -margin, fails=high < -margin)
    p = mcnemar_p(pairs)
    return Verdict(
        gate=gate,
        outcome=outcome,
        reason=(
            f"{ADVICE[outcome]}: {100 * pairs.delta:+.2f} points against {reference}, lost"
            f" {pairs.lost}, gained {pairs.gained} of {pairs.n} (McNemar p = {p:.2g})"
        ),
        reproduce=reproduce,
        numbers={
            "value": pairs.delta,
            "low": low,
            "high": high,
            "must_be": ">",
            "bound": -margin,
            "lost": pairs.lost,
            "gained": pairs.gained,
            "questions": pairs.n,
            "mcnemar_p": p,
        },
    )


def _floor_verdict(hits: int, n: int, *, floor: float, reproduce: str, gate: str) -> Verdict:
    accuracy = hits / n
    low, high = wilson_interval(hits, n)
    above = accuracy >= floor
    return Verdict(
        gate=gate,
        outcome=Outcome.PASS if above else Outcome.FAIL,
        reason=(
            f"{'at or above' if above else 'below'} the floor of {100 * floor:.2f}%:"
            f" {hits} of {n} right in every rotation"
        ),
        reproduce=reproduce,
        numbers={
            "value": accuracy,
            "low": low,
            "high": high,
            "must_be": ">=",
            "bound": floor,
            "hits": hits,
            "questions": n,
        },
    )
