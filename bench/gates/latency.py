"""The latency gate: the ratios of arms, against the profile's bounds and against each other."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict, decide
from bench.gates.compared import Compared, Comparison, compare
from bench.timing.clock import Clock
from bench.timing.interleave import Arm, Taken, interleaved_blocks, samples_of, setup
from bench.timing.ratio import Ratio, paired_ratio
from bench.timing.samples import DISTURBED, Samples

Bounds = Mapping[str, Mapping[str, float]]
"""Arm -> stage -> the highest acceptable ratio to the reference arm; `hybrid-to-off`: to off."""

Unbounded = Mapping[str, Sequence[str]]
"""Arm -> stages that are measured, and that there is no bound on."""

DENSE, UNREDUCED = "dense", "off"
NOTHING: Unbounded = {}

CONFIDENCE = 0.99  # that no verdict of a job is wrong where two arms are equal, or on its bound
LOOKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the budget after which the samples so far are judged."""

ADVICE = {
    Outcome.PASS: "within the bound",
    Outcome.FAIL: "slower than the bound allows",
    Outcome.UNSURE: "interval crosses the bound, give it more time",
}


def latency_gate(
    samples: Samples,
    bounds: Bounds,
    comparisons: Sequence[Comparison] = (),
    *,
    unbounded: Unbounded = NOTHING,
    reproduce: str,
    reference: str = DENSE,
    confidence: float = CONFIDENCE,
) -> list[Verdict]:
    """One verdict per bound, `latency/{arm}/{stage}`, and per stage of each comparison,
    `latency/{arm}/{stage}/against-{reference}`.

    A ratio to dense is a product of two: to our code with nothing reduced, which is the work that
    fewer tokens save, and of that to dense, which is other code. Where both were timed, the verdict
    names them.

    A bound: PASS if the upper end of the ratio's interval is at most the bound, FAIL if its lower
    end is above it, else UNSURE. A comparison: `bench.gates.compared`, in
    `numbers["comparison"]`. What is `unbounded` is UNSURE, and its ratio told. All UNSURE if the
    machine was too busy.

    Raises UserError for questions that are none or make no sense, for arms or stages that were
    not measured, and for samples that are no durations.
    """
    arms = samples.blocks[0] if samples.blocks else ()
    check_questions(bounds, comparisons, unbounded, arms=arms, reference=reference)
    return [
        question.answered(samples, confidence, reproduce)
        for question in questions(bounds, comparisons, unbounded, reference)
    ]


def measure_until_decided(
    arms: Mapping[str, Arm],
    bounds: Bounds,
    comparisons: Sequence[Comparison] = (),
    *,
    unbounded: Unbounded = NOTHING,
    budget_s: float,
    clock: Clock,
    threads: int,
    reproduce: str,
    reference: str = DENSE,
    among: int | None = None,
    rarely: Collection[str] = (),
    warmup: int = 2,
    progress: Callable[[float, int], None] = lambda spent, blocks: None,
) -> tuple[Samples, list[Verdict]]:
    """Times blocks until every question is decided or `budget_s` is spent, warm-up included.

    What is UNSURE when the budget ends stays UNSURE. `among`: verdicts of the whole job, if it
    asks for more than this call does. `rarely`: as in `interleaved_blocks`. `progress` is told
    the share of the budget that is spent, and the blocks done.
    """
    check_questions(bounds, comparisons, unbounded, arms=arms, reference=reference)
    if not budget_s > 0:
        raise UserError(f"latency budget is {budget_s} seconds: give a positive number")
    started = time.monotonic()

    def judge(taken: Sequence[Taken], confidence: float) -> tuple[Samples, list[Verdict]]:
        samples = samples_of(taken, setup(clock, threads))
        verdicts = latency_gate(
            samples,
            bounds,
            comparisons,
            unbounded=unbounded,
            reproduce=reproduce,
            reference=reference,
            confidence=confidence,
        )
        return samples, verdicts

    asked = len(questions(bounds, comparisons, unbounded, reference))
    source = interleaved_blocks(arms, clock=clock, threads=threads, warmup=warmup, rarely=rarely)
    with closing(source):
        return judged_in_looks(
            source,
            judge,
            spent=lambda: (time.monotonic() - started) / budget_s,
            among=among or asked,
            progress=progress,
        )


def judged_in_looks(
    source: Iterable[Taken],
    judge: Callable[[Sequence[Taken], float], tuple[Samples, list[Verdict]]],
    *,
    spent: Callable[[], float],
    among: int,
    progress: Callable[[float, int], None] = lambda spent, blocks: None,
) -> tuple[Samples, list[Verdict]]:
    """Takes blocks from `source` until all is decided, or all of the budget is `spent`.

    To look again and again at growing samples, and at several ratios, would raise the chance of
    a wrong verdict, so there are few looks, at shares of the budget that are known beforehand,
    and each look at each of the job's `among` verdicts has an equal part of the error that
    CONFIDENCE leaves. A verdict that is decided stands, and keeps the numbers it was decided on.
    """
    confidence = confidence_of_look(among)
    taken: list[Taken] = []
    decided: dict[str, Verdict] = {}
    due = LOOKS[0]
    for block in source:
        taken.append(block)
        share = spent()
        progress(min(share, 1.0), len(taken))
        if share < due:
            continue
        samples, verdicts = judge(taken, confidence)
        for verdict in verdicts:
            if verdict.outcome is not Outcome.UNSURE:
                decided.setdefault(verdict.gate, verdict)
        if share >= 1 or len(decided) == len(verdicts):
            return samples, [decided.get(verdict.gate, verdict) for verdict in verdicts]
        due = min(look for look in LOOKS if look > share)
    raise AssertionError("the blocks ended before the budget did")


def confidence_of_look(among: int) -> float:
    """Confidence of one look at one of `among` verdicts: their errors sum to 1 - CONFIDENCE."""
    return 1 - (1 - CONFIDENCE) / (among * len(LOOKS))


def check_questions(
    bounds: Bounds,
    comparisons: Sequence[Comparison],
    unbounded: Unbounded,
    *,
    arms: Collection[str],
    reference: str,
) -> None:
    """Raises UserError unless something is asked, of arms that are there, with sane bounds."""
    if not any((*bounds.values(), *unbounded.values())) and not comparisons:
        raise UserError("no latency bounds: give at least one in the profile's [gates.latency]")
    compared = [arm for one in comparisons for arm in (one.arm, one.reference)]
    bounded = [arm for name in bounds for arm in _pair(name, reference)]
    for arm in (*bounded, *compared, *unbounded):
        if arm not in arms:
            raise UserError(
                f"latency arm {arm!r} was not measured: arms are {', '.join(arms) or 'none'}"
            )
    for name, stages in bounds.items():
        arm, other = _pair(name, reference)
        if arm == other:
            raise UserError(f"latency bound of {arm!r} on itself: bound another arm")
        for stage, bound in stages.items():
            if not (math.isfinite(bound) and bound > 0):
                raise UserError(
                    f"latency bound of {arm} {stage} is {bound}: give the highest acceptable"
                    f" ratio to {other}, such as 1.10"
                )


def arms_in(bounds: Iterable[str]) -> list[str]:
    """Those that bounds are on, each once; the reference only where one names it."""
    return list(dict.fromkeys(arm for name in bounds for arm in name.split(_TO)))


_TO = "-to-"


def _pair(name: str, reference: str) -> tuple[str, str]:
    """The arm that a bound is on, and the arm that it is a ratio to."""
    arm, _, other = name.partition(_TO)
    return arm, other or reference


@dataclass(frozen=True, kw_only=True)
class Question:
    """How long one stage of `arm` takes, in times of `reference`: it becomes one verdict.

    One of the two is given, or nothing says what would be too long. bound: the highest acceptable
    ratio. effect: the smallest that matters.
    """

    gate: str
    arm: str
    reference: str
    stage: str
    bound: float | None = None
    effect: float | None = None

    def answered(self, samples: Samples, confidence: float, reproduce: str) -> Verdict:
        """UNSURE where the machine was too busy; then the numbers are there and decide nothing."""
        busy = samples.too_busy
        numbers: dict[str, float | str] = {}
        if samples.disturbed_throughout(self.arm, self.reference):
            outcome, said = self._undecided(busy or DISTURBED, numbers)
        else:
            ratio, numbers = _measured(samples, self.arm, self.reference, self.stage, confidence)
            outcome, said = self._judged(ratio, numbers, samples, confidence)
            if busy is not None:
                outcome, said = self._undecided(busy, numbers)
        return Verdict(
            gate=self.gate, outcome=outcome, reason=said, reproduce=reproduce, numbers=numbers
        )

    def _judged(
        self, ratio: Ratio, numbers: dict[str, float | str], samples: Samples, confidence: float
    ) -> tuple[Outcome, str]:
        """Outcome and reason; adds to `numbers` what they rest on."""
        times = f"{ratio.value:.3f} times as long as {self.reference}"
        if self.effect is not None:
            compared = compare(ratio, self.effect)
            numbers |= {"comparison": str(compared), "effect": self.effect}
            more = f", {self.effect:.0%} matter: give it more time"
            said = (
                f"{compared}: {times} ({ratio.low:.3f} to {ratio.high:.3f}), {ratio.blocks} blocks"
            )
            return compared.outcome, said + (more if compared is Compared.UNSURE else "")
        if self.bound is None:
            outcome = Outcome.UNSURE
            said = (
                f"no bound to judge it by: {times} ({ratio.low:.3f} to {ratio.high:.3f}),"
                f" {ratio.blocks} blocks; give the profile a highest {self.stage} for {self.arm}"
            )
        else:
            outcome = decide(passes=ratio.high <= self.bound, fails=ratio.low > self.bound)
            said = (
                f"{ADVICE[outcome]}: {times}, at most {self.bound:.3f} allowed,"
                f" {ratio.blocks} blocks"
            )
        if parts := _parts(samples, self.arm, self.reference, self.stage, confidence):
            said += f"; made of {', '.join(_said(*part) for part in parts.items())}"
            numbers |= _as_numbers(parts)
        if self.bound is not None:
            numbers |= {"must_be": "<=", "bound": self.bound}
        return outcome, said

    def _undecided(self, why: str, numbers: dict[str, float | str]) -> tuple[Outcome, str]:
        if self.effect is None:
            return Outcome.UNSURE, why
        numbers |= {"comparison": str(Compared.UNSURE), "effect": self.effect}
        return Outcome.UNSURE, f"{Compared.UNSURE}: {why}"


def questions(
    bounds: Bounds, comparisons: Sequence[Comparison], unbounded: Unbounded, reference: str
) -> list[Question]:
    """One for each stage of each bound, of each comparison, and of what is unbounded."""
    bounded = [
        Question(gate=f"latency/{name}/{stage}", arm=arm, reference=other, stage=stage, bound=bound)
        for name, stages in bounds.items()
        for arm, other in [_pair(name, reference)]
        for stage, bound in stages.items()
    ]
    compared = [
        Question(
            gate=f"latency/{one.arm}/{stage}/against-{one.reference}",
            arm=one.arm,
            reference=one.reference,
            stage=stage,
            effect=one.effect,
        )
        for one in comparisons
        for stage in one.stages
    ]
    measured = [
        Question(gate=f"latency/{arm}/{stage}", arm=arm, reference=reference, stage=stage)
        for arm, stages in unbounded.items()
        for stage in stages
    ]
    return bounded + compared + measured


def _parts(
    samples: Samples, arm: str, reference: str, stage: str, confidence: float
) -> dict[str, Ratio]:
    """What a ratio to dense is made of; nothing where one of the arms was not timed."""
    if reference != DENSE or arm == UNREDUCED or UNREDUCED not in samples.blocks[0]:
        return {}
    pairs = {"fewer tokens": (arm, UNREDUCED), "other code": (UNREDUCED, reference)}
    if any(samples.disturbed_throughout(*pair) for pair in pairs.values()):
        return {}
    return {
        name: paired_ratio(*samples.pair(*pair, stage), confidence) for name, pair in pairs.items()
    }


def _said(name: str, ratio: Ratio) -> str:
    return f"{name} {ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


def _as_numbers(parts: Mapping[str, Ratio]) -> dict[str, float]:
    """Only what has an interval: a PASS may not rest on a number that is not finite."""
    return {
        f"{name} {end}": value
        for name, ratio in parts.items()
        if math.isfinite(ratio.high)
        for end, value in (("value", ratio.value), ("low", ratio.low), ("high", ratio.high))
    }


def _measured(
    samples: Samples, arm: str, reference: str, stage: str, confidence: float
) -> tuple[Ratio, dict[str, float | str]]:
    """The ratio of two arms in one stage, and the numbers of its verdict."""
    seconds, reference_seconds = samples.pair(arm, reference, stage)
    ratio = paired_ratio(seconds, reference_seconds, confidence)
    return ratio, {
        "value": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
        "blocks": ratio.blocks,
        "inflation": ratio.inflation,
        "p50_ms": 1e3 * float(np.quantile(seconds, 0.5)),
        "p90_ms": 1e3 * float(np.quantile(seconds, 0.9)),
        "reference_p50_ms": 1e3 * float(np.quantile(reference_seconds, 0.5)),
        "reference_p90_ms": 1e3 * float(np.quantile(reference_seconds, 0.9)),
    }
