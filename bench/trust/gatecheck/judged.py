"""What a latency rule said where the truth is known, and whether that is good enough."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import beta

from bench.base.errors import UserError
from bench.base.verdict import Verdict, decide
from bench.gates.compared import SMALLEST_EFFECT, Compared, Comparison
from bench.trust.gatecheck.series import BATCHES, PLANTED, REFERENCE, STAGES

QUESTION = Comparison(
    arm=PLANTED, reference=REFERENCE, stages=STAGES, effect=SMALLEST_EFFECT["cpu"]
)
JOB = len(BATCHES) * len(STAGES)  # verdicts that share the stated error
MOST_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One job's answer on one batch size, and one for each of its stages.

    ratios: stage -> how many times as long the planted arm took; NaN while every block was
        disturbed.
    seconds: until all stages were decided or the budget was spent.
    fresh: whether it shares no sample with another fresh one.
    """

    truth: str
    batch: int
    compared: Mapping[str, Compared]
    ratios: Mapping[str, float]
    seconds: float
    fresh: bool = True

    @classmethod
    def of(
        cls, truth: str, batch: int, verdicts: Sequence[Verdict], seconds: float, fresh: bool = True
    ) -> Self:
        """From the latency gate's verdicts on QUESTION."""
        numbers = dict(zip(STAGES, (verdict.numbers for verdict in verdicts), strict=True))
        return cls(
            truth=truth,
            batch=batch,
            compared={stage: Compared(str(n["comparison"])) for stage, n in numbers.items()},
            ratios={stage: float(n.get("value", math.nan)) for stage, n in numbers.items()},
            seconds=seconds,
            fresh=fresh,
        )


@dataclass(frozen=True)
class Rate:
    """How often verdicts on one truth said one of some words.

    low, high: its 95% interval (Clopper-Pearson), as if the stages of one job told the same and
    jobs that share samples were one: `independent` jobs. It errs on the wide side.
    """

    value: float
    low: float
    high: float
    verdicts: int
    independent: int

    @classmethod
    def of(cls, judged: Sequence[Judged], truth: str, *words: Compared) -> "Rate":
        """Raises UserError if there is no verdict on that truth."""
        chosen = [one for one in judged if one.truth == truth]
        said = [word in words for one in chosen for word in one.compared.values()]
        n = sum(one.fresh for one in chosen)
        if not (said and n):
            raise UserError(f"no verdict on the truth {truth!r}: record or time it first")
        value = float(np.mean(said))
        hits, misses = value * n, (1 - value) * n
        low = float(beta.ppf(0.025, hits, misses + 1)) if hits else 0.0
        high = float(beta.ppf(0.975, hits + 1, misses)) if misses else 1.0
        return cls(value, low, high, len(said), n)


@dataclass(frozen=True)
class Requirement:
    """`words` are said of `truth` at least, or at most, so often."""

    truth: str
    words: tuple[Compared, ...]
    must_be: str
    bound: float


REQUIREMENTS = (
    Requirement("same", (Compared.SLOWER, Compared.FASTER), "<=", 0.01),
    Requirement("slower-5", (Compared.SLOWER,), ">=", 0.80),
    Requirement("slower-5", (Compared.FASTER,), "<=", 0.0),
    Requirement("slower-10", (Compared.SLOWER,), ">=", 0.95),
)


def required_rates(judged: Sequence[Judged], *, of: str, reproduce: str) -> list[Verdict]:
    """A verdict for each of REQUIREMENTS, and one on the median time; `of` says on what.

    The measured rate has to meet the bound; its interval stands beside it.
    """
    verdicts = []
    for required in REQUIREMENTS:
        rate = Rate.of(judged, required.truth, *required.words)
        at_most = required.must_be == "<="
        good = rate.value <= required.bound if at_most else rate.value >= required.bound
        words = " or ".join(required.words)
        verdicts.append(
            Verdict(
                gate=f"known-truths/{of}/{required.truth}/{'-or-'.join(required.words).lower()}",
                outcome=decide(passes=good, fails=not good),
                reason=(
                    f"{words} in {rate.value:.1%} of {rate.verdicts} verdicts"
                    f" ({rate.independent} independent jobs),"
                    f" {'at most' if at_most else 'at least'} {required.bound:.0%} required"
                    " of the measured rate, whose interval says what it proves"
                ),
                reproduce=reproduce,
                numbers={
                    "value": rate.value,
                    "low": rate.low,
                    "high": rate.high,
                    "must_be": required.must_be,
                    "bound": required.bound,
                    "verdicts": rate.verdicts,
                    "independent": rate.independent,
                },
            )
        )
    seconds = float(np.median([one.seconds for one in judged]))
    verdicts.append(
        Verdict(
            gate=f"known-truths/{of}/seconds",
            outcome=decide(passes=seconds < MOST_SECONDS, fails=seconds >= MOST_SECONDS),
            reason=f"a verdict takes {seconds:.1f} s (median), less than {MOST_SECONDS:.0f} wanted",
            reproduce=reproduce,
            numbers={"value": seconds, "must_be": "<=", "bound": MOST_SECONDS},
        )
    )
    return verdicts
