"""The latency gate: the ratio of each arm to the dense one, against the profile's bounds."""

import math
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing

import numpy as np

from bench.errors import UserError
from bench.timing.clock import Clock
from bench.timing.interleave import Arm, interleaved, setup
from bench.timing.ratio import paired_ratio
from bench.timing.samples import Block, Samples
from bench.verdict import Outcome, Verdict, decide

Bounds = Mapping[str, Mapping[str, float]]
"""Arm -> stage -> the highest acceptable ratio to the reference arm."""

CONFIDENCE = 0.99  # over all looks together: a wrong FAIL or PASS in 1 of 200 on the bound itself
FIRST_LOOK = 10  # blocks: about the fewest with a finite interval at the first look's confidence
ADVICE = {
    Outcome.PASS: "within the bound",
    Outcome.FAIL: "slower than the bound allows",
    Outcome.UNSURE: "interval crosses the bound, give it more time",
}


def latency_gate(
    samples: Samples,
    bounds: Bounds,
    *,
    reproduce: str,
    reference: str = "dense",
    confidence: float = CONFIDENCE,
) -> list[Verdict]:
    """One verdict per bound, named `latency/{arm}/{stage}`.

    PASS if the upper end of the ratio's interval is at most the bound, FAIL if its lower end is
    above it, else UNSURE.

    Raises UserError for bounds that are empty or no positive number, for arms or stages that were
    not measured, and for samples that are no durations.
    """
    check_bounds(bounds, arms=samples.blocks[0] if samples.blocks else (), reference=reference)
    verdicts = []
    for arm, stages in bounds.items():
        for stage, bound in stages.items():
            seconds = samples.seconds(arm, stage)
            reference_seconds = samples.seconds(reference, stage)
            ratio = paired_ratio(seconds, reference_seconds, confidence)
            outcome = decide(passes=ratio.high <= bound, fails=ratio.low > bound)
            verdicts.append(
                Verdict(
                    gate=f"latency/{arm}/{stage}",
                    outcome=outcome,
                    reason=(
                        f"{ADVICE[outcome]}: {ratio.value:.3f} times as long as {reference},"
                        f" at most {bound:.3f} allowed, {ratio.blocks} blocks"
                    ),
                    reproduce=reproduce,
                    numbers={
                        "value": ratio.value,
                        "low": ratio.low,
                        "high": ratio.high,
                        "must_be": "<=",
                        "bound": bound,
                        "blocks": ratio.blocks,
                        "p50_ms": 1e3 * float(np.quantile(seconds, 0.5)),
                        "p90_ms": 1e3 * float(np.quantile(seconds, 0.9)),
                        "reference_p50_ms": 1e3 * float(np.quantile(reference_seconds, 0.5)),
                        "reference_p90_ms": 1e3 * float(np.quantile(reference_seconds, 0.9)),
                    },
                )
            )
    return verdicts


def measure_until_decided(
    arms: Mapping[str, Arm],
    bounds: Bounds,
    *,
    budget_s: float,
    clock: Clock,
    threads: int,
    reproduce: str,
    reference: str = "dense",
    warmup: int = 2,
    progress: Callable[[float, int], None] = lambda spent, blocks: None,
) -> tuple[Samples, list[Verdict]]:
    """Times blocks until every bound is decided or `budget_s` is spent, warm-up included.

    Looking again and again at growing samples would raise the chance of a wrong verdict, so the
    looks share it: there are few (after 10, 20, 40, ... blocks), and look k may spend
    1/(k (k + 1)) of the error that CONFIDENCE leaves. What is UNSURE when the budget ends stays
    UNSURE. `progress` is told the share of the budget that is spent, and the blocks done.
    """
    check_bounds(bounds, arms=arms, reference=reference)
    if not budget_s > 0:
        raise UserError(f"latency budget is {budget_s} seconds: give a positive number")
    started = time.monotonic()
    taken: list[Block] = []
    look, look_at = 1, FIRST_LOOK
    with closing(interleaved(arms, clock=clock, threads=threads, warmup=warmup)) as source:
        for block in source:
            taken.append(block)
            spent = (time.monotonic() - started) / budget_s
            progress(min(spent, 1.0), len(taken))
            if len(taken) < look_at and spent < 1:
                continue
            samples = Samples(setup=setup(clock, threads), blocks=taken)
            verdicts = latency_gate(
                samples,
                bounds,
                reproduce=reproduce,
                reference=reference,
                confidence=confidence_of_look(look),
            )
            if spent >= 1 or all(v.outcome is not Outcome.UNSURE for v in verdicts):
                return samples, verdicts
            look, look_at = look + 1, 2 * look_at
    raise AssertionError("interleaved blocks have no end")


def confidence_of_look(look: int) -> float:
    """Confidence at look 1, 2, ...: the errors of all looks sum to 1 - CONFIDENCE."""
    return 1 - (1 - CONFIDENCE) / (look * (look + 1))


def check_bounds(bounds: Bounds, *, arms: Collection[str], reference: str) -> None:
    """Raises UserError unless each bound is a positive number for an arm that is there."""
    if not any(bounds.values()):
        raise UserError("no latency bounds: give at least one in the profile's [gates.latency]")
    for arm in (reference, *bounds):
        if arm not in arms:
            raise UserError(
                f"latency arm {arm!r} was not measured: arms are {', '.join(arms) or 'none'}"
            )
    for arm, stages in bounds.items():
        if arm == reference:
            raise UserError(f"latency bound of {arm!r} on itself: bound another arm")
        for stage, bound in stages.items():
            if not (math.isfinite(bound) and bound > 0):
                raise UserError(
                    f"latency bound of {arm} {stage} is {bound}: give the highest acceptable"
                    f" ratio to {reference}, such as 1.10"
                )
