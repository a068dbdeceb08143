"""The accuracy gate: as good as the reference of the same job, and above an absolute floor."""

from collections.abc import Iterable, Mapping
from numbers import Real

import numpy as np

from bench.base.errors import UserError
from bench.base.verdict import Verdict, decide
from bench.evaluation.statistics.breakdown import breakdown, category_numbers, said_worse
from bench.evaluation.statistics.matching import matched_ids
from bench.evaluation.statistics.noninferior import difference_verdict, floor_verdict
from bench.evaluation.statistics.paired import (
    decisions,
    difference_interval,
    mcnemar_p,
    paired,
    tango_score,
    two_sided_mcnemar_p,
    wilson_interval,
)
from bench.evaluation.statistics.ties import Flips, count_flips


def accuracy_gate(
    *,
    hits: Mapping[int, bool],
    reference_hits: Mapping[int, bool],
    margin: float | None,
    floor: float | None,
    reproduce: str,
    reference: str = "dense",
    gate: str = "accuracy",
    categories: Mapping[str, Mapping[int, str]] | None = None,
    near_ties: Mapping[int, bool | None] | None = None,
) -> list[Verdict]:
    """Judges circular hits by question: `{gate}/paired`, then `{gate}/floor`.

    hits, reference_hits: question id -> whether all of its circular rows were right.
    margin: the loss of accuracy that is still acceptable, 0.03 for three points.
    floor: the circular accuracy below which no comparison helps. On a subset it is what the
        recorded run scored on those same questions: `floor_on`.
        Either may be None: what it would judge is told, and UNSURE.
    categories: level -> question -> its category, for the breakdown in the numbers; the reason
        names categories that are significantly worse (`statistics.breakdown`).
    near_ties: flipped question -> whether rounding explains it, None where that was not recorded
        (`statistics.ties`). All flips count, near-ties too; the reason tells them apart.

    Paired: one-sided 95% bounds of the difference (`statistics.paired`). PASS if even the lower
    bound is above -margin, FAIL if even the upper one is below it, else UNSURE. The floor is
    compared with the accuracy itself, beside its Wilson interval.

    Raises UserError for empty runs, differing questions, a hit that is not a boolean, or a margin
    or floor that is no share of 1.
    """
    if floor is not None and not 0 <= floor <= 1:
        raise UserError(f"accuracy floor is {floor}: give it as a share of 1, such as 0.553")
    pair = paired_gate(
        hits=hits,
        reference_hits=reference_hits,
        margin=margin,
        categories=categories,
        near_ties=near_ties,
        reproduce=reproduce,
        reference=reference,
        gate=f"{gate}/paired",
    )
    right = sum(map(bool, hits.values()))
    floor_gate = f"{gate}/floor"
    return [
        pair,
        _floor_verdict(right, len(hits), floor=floor, reproduce=reproduce, gate=floor_gate),
    ]


def paired_gate(
    *,
    hits: Mapping[int, bool],
    reference_hits: Mapping[int, bool],
    margin: float | None,
    reproduce: str,
    reference: str,
    gate: str,
    categories: Mapping[str, Mapping[int, str]] | None = None,
    near_ties: Mapping[int, bool | None] | None = None,
) -> Verdict:
    """The first verdict of `accuracy_gate`; raises as it does."""
    if margin is not None and not 0 < margin < 1:
        raise UserError(f"accuracy margin is {margin}: give the acceptable loss as a share, 0.03")
    ids = matched_ids(hits, reference_hits, unit="question")
    return _paired_verdict(
        {i: _checked(hits, i, "run") for i in ids},
        {i: _checked(reference_hits, i, "reference") for i in ids},
        margin=margin,
        categories=categories or {},
        near_ties=near_ties,
        reproduce=reproduce,
        reference=reference,
        gate=gate,
    )


def recorded_gate(
    *,
    hits: Mapping[int, bool],
    recorded_hits: Mapping[int, bool],
    margin: float,
    reproduce: str,
    reference: str,
    gate: str,
) -> Verdict:
    """Judges a run against one that was recorded elsewhere, on the questions of the run.

    Says what the pair of this job can't: that both arms did not become worse together. Decided as
    `{gate}/paired` is, without categories.

    Raises UserError as `accuracy_gate` does, and for a question that was not recorded.
    """
    floor_on(recorded_hits, hits)  # names the question that was not recorded
    return _paired_verdict(
        {i: _checked(hits, i, "run") for i in sorted(hits)},
        {i: _checked(recorded_hits, i, "recorded run") for i in sorted(hits)},
        margin=margin,
        categories={},
        near_ties=None,
        reproduce=reproduce,
        reference=reference,
        gate=gate,
    )


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
    now: Mapping[int, bool],
    before: Mapping[int, bool],
    *,
    margin: float | None,
    categories: Mapping[str, Mapping[int, str]],
    near_ties: Mapping[int, bool | None] | None,
    reproduce: str,
    reference: str,
    gate: str,
) -> Verdict:
    pairs = paired(before, now, now)
    # Of none nothing is decided, whatever stands here: `difference_verdict` says so.
    against = 0.5 if margin is None else margin
    passes, fails = decisions(pairs.lost, pairs.gained, pairs.n, against)
    p, two_sided = mcnemar_p(pairs), two_sided_mcnemar_p(pairs)
    rows = breakdown(categories, before, now)
    lost, gained = (
        count_flips((near_ties or {}).get(i) for i in now if (now[i], before[i]) == flip)
        for flip in ((False, True), (True, False))
    )
    split = {
        "lost_real": lost.real,
        "lost_near_tie": lost.near_tie,
        "gained_real": gained.real,
        "gained_near_tie": gained.near_tie,
        "margins_missing": lost.missing + gained.missing,
    }
    told = [
        f"{100 * pairs.delta:+.2f} points against {reference}",
        f"lost {pairs.lost}{_split(lost, near_ties)}",
        f"gained {pairs.gained}{_split(gained, near_ties)} of {pairs.n}"
        f" (McNemar p = {p:.2g} one-sided, {two_sided:.2g} two-sided)",
    ]
    worse = said_worse(rows)
    return difference_verdict(
        decide(passes=bool(passes), fails=bool(fails)),
        difference=pairs.delta,
        interval=difference_interval(pairs),
        margin=margin,
        unit="question",
        n=pairs.n,
        score=float(tango_score(pairs.lost, pairs.gained, pairs.n, -against)),
        told=", ".join(told) + (f"; {worse}" if worse else ""),
        reproduce=reproduce,
        gate=gate,
        numbers={
            "lost": pairs.lost,
            "gained": pairs.gained,
            "questions": pairs.n,
            "mcnemar_p_one_sided": p,
            "mcnemar_p_two_sided": two_sided,
            **({} if near_ties is None else split),
            **category_numbers(rows),
        },
    )


def _split(flips: Flips, near_ties: Mapping[int, bool | None] | None) -> str:
    """What stands behind a count of flips; nothing where nobody asked, or nothing flipped."""
    asked = near_ties is not None and flips.real + flips.near_tie + flips.missing > 0
    return f" ({flips.said()})" if asked else ""


def _floor_verdict(hits: int, n: int, *, floor: float | None, reproduce: str, gate: str) -> Verdict:
    return floor_verdict(
        score=hits / n,
        interval=wilson_interval(hits, n),
        floor=floor,
        floor_said="" if floor is None else f"{100 * floor:.2f}%",
        told=f"{hits} of {n} right in every rotation",
        reproduce=reproduce,
        gate=gate,
        numbers={"hits": hits, "questions": n},
    )
