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
from bench.timing.ratio import Floats, Ratio, paired_ratio
from bench.timing.samples import DISTURBED, Samples

Bounds = Mapping[str, Mapping[str, float]]
"""Arm -> stage -> the highest acceptable ratio to the reference arm; `hybrid-to-off`: to off."""

Unbounded = Mapping[str, Sequence[str]]
"""Arm -> stages that are measured, and that there is no bound on."""

DENSE, UNREDUCED = "dense", "off"
NOTHING: Unbounded = {}
WHOLE = "whole"  # a ratio, not one of its parts

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
        seconds = {
            name: samples.pair(*pair, self.stage) for name, pair in self._pairs(samples).items()
        }
        ratios = {name: paired_ratio(*both, confidence) for name, both in seconds.items()}
        outcome, reason, numbers = Outcome.UNSURE, DISTURBED, dict[str, float | str]()
        if ratios:
            outcome, reason, numbers = self._judged(ratios, *seconds[WHOLE])
        if busy := samples.too_busy:
            outcome, reason = Outcome.UNSURE, busy
        if self.effect is not None and (busy or not ratios):
            reason = f"{Compared.UNSURE}: {reason}"
            numbers |= {"comparison": str(Compared.UNSURE), "effect": self.effect}
        return Verdict(
            gate=self.gate, outcome=outcome, reason=reason, reproduce=reproduce, numbers=numbers
        )

    def _pairs(self, samples: Samples) -> dict[str, tuple[str, str]]:
        """Arms whose ratios are asked for: the question's own, and those that a ratio to dense is
        made of where all were timed. None while each block was disturbed."""
        if samples.disturbed_throughout(self.arm, self.reference):
            return {}
        own = {WHOLE: (self.arm, self.reference)}
        parts = {"fewer tokens": (self.arm, UNREDUCED), "other code": (UNREDUCED, self.reference)}
        if (
            self.effect is not None
            or self.reference != DENSE
            or self.arm == UNREDUCED
            or UNREDUCED not in samples.blocks[0]
            or any(samples.disturbed_throughout(*pair) for pair in parts.values())
        ):
            return own
        return own | parts

    def _judged(
        self, ratios: Mapping[str, Ratio], seconds: Floats, reference_seconds: Floats
    ) -> tuple[Outcome, str, dict[str, float | str]]:
        """Outcome, reason, and the numbers that they rest on."""
        ratio = ratios[WHOLE]
        times = f"{ratio.value:.3f} times as long as {self.reference}"
        numbers: dict[str, float | str] = {
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
        if self.effect is not None:
            compared = compare(ratio, self.effect)
            reason = f"{compared}: {times} ({_ends(ratio)}), {ratio.blocks} blocks"
            if compared is Compared.UNSURE:
                reason += f", {self.effect:.0%} matter: give it more time"
            return (
                compared.outcome,
                reason,
                numbers | {"comparison": str(compared), "effect": self.effect},
            )
        if self.bound is None:
            outcome = Outcome.UNSURE
            reason = f"no bound to judge it by: {times} ({_ends(ratio)}), {ratio.blocks} blocks"
            reason += f"; give the profile a highest {self.stage} for {self.arm}"
        else:
            outcome = decide(passes=ratio.high <= self.bound, fails=ratio.low > self.bound)
            reason = f"{ADVICE[outcome]}: {times}, at most {self.bound:.3f} allowed"
            reason += f", {ratio.blocks} blocks"
            numbers |= {"must_be": "<=", "bound": self.bound}
        parts = {name: part for name, part in ratios.items() if name != WHOLE}
        if parts:
            said = (f"{name} {part.value:.3f} ({_ends(part)})" for name, part in parts.items())
            reason += f"; made of {', '.join(said)}"
        # Only what has an interval: a PASS may not rest on a number that is not finite.
        numbers |= {
            f"{name} {end}": value
            for name, part in parts.items()
            if math.isfinite(part.high)
            for end, value in (("value", part.value), ("low", part.low), ("high", part.high))
        }
        return outcome, reason, numbers


def _ends(ratio: Ratio) -> str:
    return f"{ratio.low:.3f} to {ratio.high:.3f}"


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
