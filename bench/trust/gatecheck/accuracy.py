"""The accuracy gate on known truths: how often it cries wolf, and how often it sleeps.

Pairs of runs over 1164 questions (MMBench_DEV_EN) are drawn with a known true loss and a known
share of discordant pairs, and judged by the function that the gate decides with. How often it is
wrong must be what is stated here, which is not simulated but summed over all possible counts
(`tests/test_gatecheck_accuracy.py` does that sum).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from bench.base.verdict import Outcome, Verdict, decide
from bench.evaluation.references import load_reference
from bench.evaluation.statistics.paired import decisions
from bench.gates.accuracy import accuracy_gate

QUESTIONS = 1164
MARGIN = 0.01  # the harshest that 1164 questions can bear; wider ones err less
DRAWS = 100_000  # pairs of runs for each truth
SEED = 11_640_219
DISTRUST = 0.001  # a rate this unlikely under the stated one contradicts it
DENSE, HYBRID = "llava_v1.5_7b_MMBench_DEV_EN", "llava_v1.5_7b_hybrid_MMBench_DEV_EN"
RECORDED_MARGINS = (0.01, 0.02, 0.03, 0.04, 0.05)


@dataclass(frozen=True, kw_only=True)
class Stated:
    """How often the gate is wrong, in shares, at one discordance.

    drop: beyond the margin, detectable with 80% power by (1.645 + 0.842) sqrt(discordance / n).
    failed_at_zero: FAIL though nothing was lost.
    failed_on_margin, passed_on_margin: where the loss is the margin exactly; 5% nominally.
    missed: no FAIL though the loss is margin and drop; at most 20% nominally.
    """

    drop: float
    failed_at_zero: float
    failed_on_margin: float
    passed_on_margin: float
    missed: float


STATED: Mapping[float, Stated] = {
    0.02: Stated(
        drop=0.010,
        failed_at_zero=2.642e-05,
        failed_on_margin=0.05127,
        passed_on_margin=0.04545,
        missed=0.1094,
    ),
    0.05: Stated(
        drop=0.016,
        failed_at_zero=7.795e-04,
        failed_on_margin=0.05053,
        passed_on_margin=0.04864,
        missed=0.1876,
    ),
    0.08: Stated(
        drop=0.021,
        failed_at_zero=2.247e-03,
        failed_on_margin=0.05087,
        passed_on_margin=0.04980,
        missed=0.1720,
    ),
    0.12: Stated(
        drop=0.025,
        failed_at_zero=4.324e-03,
        failed_on_margin=0.05031,
        passed_on_margin=0.04997,
        missed=0.1982,
    ),
}
# The most of each error that the README promises, and what it is called.
PROMISED = {
    "failed_at_zero": (0.01, "FAIL though nothing was lost"),
    "failed_on_margin": (0.055, "FAIL on the margin"),
    "passed_on_margin": (0.055, "PASS on the margin"),
    "missed": (0.20, "no FAIL at a loss of margin and detectable drop"),
}


def accuracy_known_truths(*, reproduce: str) -> list[Verdict]:
    """`accuracy/simulated/*`: each rate of error; `accuracy/recorded`: the pair of recorded runs
    of LLaVA-1.5-7B, 125 lost and 41 gained; `accuracy/itself`: a run against itself."""
    generator = np.random.default_rng(SEED)
    wrong: dict[str, dict[float, int]] = {name: {} for name in PROMISED}
    for discordance, stated in STATED.items():
        _, failed = judged(generator, discordance, loss=0.0)
        wrong["failed_at_zero"][discordance] = int(failed.sum())
        passed, failed = judged(generator, discordance, loss=MARGIN)
        wrong["failed_on_margin"][discordance] = int(failed.sum())
        wrong["passed_on_margin"][discordance] = int(passed.sum())
        _, failed = judged(generator, discordance, loss=MARGIN + stated.drop)
        wrong["missed"][discordance] = int((~failed).sum())
    return [
        *(_rate_verdict(name, counts, reproduce) for name, counts in wrong.items()),
        _recorded_verdict(reproduce),
        _itself_verdict(reproduce),
    ]


def judged(
    generator: np.random.Generator, discordance: float, *, loss: float, draws: int = DRAWS
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """PASS and FAIL of `draws` simulated pairs of runs, [draws] each.

    A question is lost with chance (discordance + loss) / 2, gained with (discordance - loss) / 2.
    """
    chances = [(discordance + loss) / 2, max(0.0, discordance - loss) / 2, 1 - discordance]
    lost, gained, _ = generator.multinomial(QUESTIONS, chances, size=draws).T
    return decisions(lost, gained, QUESTIONS, MARGIN)


def _rate_verdict(name: str, counts: Mapping[float, int], reproduce: str) -> Verdict:
    promised, meaning = PROMISED[name]
    stated = {discordance: float(getattr(STATED[discordance], name)) for discordance in counts}
    doubtful = [
        discordance
        for discordance, count in counts.items()
        if binomtest(count, DRAWS, stated[discordance]).pvalue < DISTRUST
    ]
    worst = max(counts, key=lambda discordance: counts[discordance])
    interval = binomtest(counts[worst], DRAWS).proportion_ci(1 - DISTRUST, method="wilson")
    sound = not doubtful and counts[worst] / DRAWS <= promised
    rates = ", ".join(
        f"{100 * count / DRAWS:.2f}% for {100 * stated[discordance]:.2f}%"
        + (" (contradicts it)" if discordance in doubtful else "")
        for discordance, count in counts.items()
    )
    shares = ", ".join(f"{100 * discordance:.0f}" for discordance in counts)
    numbers: dict[str, float | str] = {
        "value": counts[worst] / DRAWS,
        "low": float(interval.low),
        "high": float(interval.high),
        "must_be": "<=",
        "bound": promised,
        "draws": DRAWS,
    }
    for discordance, count in counts.items():
        numbers[f"measured_{discordance}"] = count / DRAWS
        numbers[f"stated_{discordance}"] = stated[discordance]
    return Verdict(
        gate=f"accuracy/simulated/{name.replace('_', '-')}",
        outcome=decide(passes=sound, fails=not sound),
        reason=f"{meaning}, measured for stated, at {shares}% discordance: {rates}",
        reproduce=reproduce,
        numbers=numbers,
    )


def _recorded_verdict(reproduce: str) -> Verdict:
    dense, hybrid = load_reference(DENSE), load_reference(HYBRID)
    answers = {
        margin: accuracy_gate(
            hits=hybrid, reference_hits=dense, margin=margin, floor=0.0, reproduce=reproduce
        )[0]
        for margin in RECORDED_MARGINS
    }
    sound = all(verdict.outcome is Outcome.FAIL for verdict in answers.values())
    widest = answers[max(RECORDED_MARGINS)]
    said = ", ".join(f"{100 * margin:.0f} {v.outcome}" for margin, v in answers.items())
    return Verdict(
        gate="accuracy/recorded",
        outcome=decide(passes=sound, fails=not sound),
        reason=(
            f"the recorded pair lost {widest.numbers['lost']} and gained"
            f" {widest.numbers['gained']} of {widest.numbers['questions']}; at margins in points:"
            f" {said}"
        ),
        reproduce=reproduce,
        numbers={
            "value": widest.numbers["value"],
            "low": widest.numbers["low"],
            "high": widest.numbers["high"],
            "must_be": "<",
            "bound": -max(RECORDED_MARGINS),
        },
    )


def _itself_verdict(reproduce: str) -> Verdict:
    dense = load_reference(DENSE)
    (answer, _) = accuracy_gate(
        hits=dense, reference_hits=dense, margin=MARGIN, floor=0.0, reproduce=reproduce
    )
    sound = answer.outcome is Outcome.PASS
    return Verdict(
        gate="accuracy/itself",
        outcome=decide(passes=sound, fails=not sound),
        reason=f"a run against itself at {100 * MARGIN:.0f} point: {answer.outcome}",
        reproduce=reproduce,
        numbers={
            name: answer.numbers[name] for name in ("value", "low", "high", "must_be", "bound")
        },
    )
