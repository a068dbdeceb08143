"""What the check of the accuracy gate states is the exact sum, and a broken gate fails it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, norm

from bench.base.verdict import Outcome
from bench.evaluation.statistics.paired import decisions
from bench.gates.accuracy import accuracy_gate
from bench.trust.gatecheck import accuracy
from bench.trust.gatecheck.accuracy import (
    MARGIN,
    PROMISED,
    QUESTIONS,
    STATED,
    accuracy_known_truths,
)


def exact(discordance: float, loss: float) -> tuple[float, float]:
    """Chance of PASS and of FAIL, summed over all counts that are likely at all."""
    most = int(QUESTIONS * discordance + 10 * (QUESTIONS * discordance) ** 0.5) + 12
    total = np.arange(most + 1)[:, None]
    lost: NDArray[np.int64] = np.minimum(np.arange(most + 1)[None, :], total)
    chance = binom.pmf(total, QUESTIONS, discordance) * np.where(
        np.arange(most + 1)[None, :] <= total,
        binom.pmf(lost, total, (discordance + loss) / 2 / discordance),
        0.0,
    )
    passed, failed = decisions(lost, total - lost, QUESTIONS, MARGIN)
    return float(chance[passed].sum()), float(chance[failed].sum())


@pytest.mark.parametrize("discordance", STATED)
def test_the_stated_rates_are_the_exact_ones(discordance: float) -> None:
    stated = STATED[discordance]
    _, failed_at_zero = exact(discordance, 0.0)
    passed_on_margin, failed_on_margin = exact(discordance, MARGIN)
    _, found = exact(discordance, MARGIN + stated.drop)
    rates = {
        "failed_at_zero": failed_at_zero,
        "failed_on_margin": failed_on_margin,
        "passed_on_margin": passed_on_margin,
        "missed": 1 - found,
    }
    assert rates == pytest.approx({name: getattr(stated, name) for name in rates}, rel=1e-3)
    assert all(rates[name] <= most for name, (most, _) in PROMISED.items())


@pytest.mark.parametrize("discordance", STATED)
def test_the_drops_are_those_of_the_power_formula(discordance: float) -> None:
    z = norm.ppf(0.95) + norm.ppf(0.80)
    drop = z * (discordance / QUESTIONS) ** 0.5
    assert STATED[discordance].drop == pytest.approx(drop, abs=5e-4)


def test_what_is_simulated_is_what_the_gate_decides() -> None:
    for lost, gained in ((0, 0), (12, 3), (30, 3), (40, 0), (60, 55), (5, 40)):
        before = {question: question < 600 for question in range(QUESTIONS)}
        now = before | dict.fromkeys(range(lost), False)
        now |= dict.fromkeys(range(600, 600 + gained), True)
        (verdict, _) = accuracy_gate(
            hits=now, reference_hits=before, margin=MARGIN, floor=0.0, reproduce="-"
        )
        passed, failed = decisions(lost, gained, QUESTIONS, MARGIN)
        assert (verdict.outcome is Outcome.PASS) == passed
        assert (verdict.outcome is Outcome.FAIL) == failed
        assert (verdict.numbers["low"] > -MARGIN) == passed  # type: ignore[operator]
        assert (verdict.numbers["high"] < -MARGIN) == failed  # type: ignore[operator]


def test_the_gate_as_it_is_holds_what_it_states() -> None:
    verdicts = accuracy_known_truths(reproduce="gate-check")
    assert [v.outcome for v in verdicts] == [Outcome.PASS] * 6, [v.reason for v in verdicts]
    assert len({verdict.gate for verdict in verdicts}) == 6
    recorded = next(v for v in verdicts if v.gate == "accuracy/recorded")
    assert "lost 125 and gained 41 of 1164" in recorded.reason


Judged = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def wald(lost: NDArray[np.int64], gained: NDArray[np.int64], n: int, margin: float) -> Judged:
    """The usual interval, whose standard error vanishes where nothing differs."""
    delta = (gained - lost) / n
    error = np.sqrt(((lost + gained) / n - delta**2) / n)
    return delta - 1.645 * error > -margin, delta + 1.645 * error < -margin


def eager(lost: NDArray[np.int64], gained: NDArray[np.int64], n: int, margin: float) -> Judged:
    """Fails what the point estimate says, without any interval."""
    delta = (gained - lost) / n
    return delta > -margin, delta < -margin


def sleepy(lost: NDArray[np.int64], gained: NDArray[np.int64], n: int, margin: float) -> Judged:
    """At three standard errors instead of 1.645."""
    score = (gained - lost + n * margin) / np.sqrt(lost + gained + 1e-9)
    return score > 3, score < -3


@pytest.mark.parametrize("broken", [wald, eager, sleepy])
def test_a_gate_of_other_error_rates_is_found(
    monkeypatch: pytest.MonkeyPatch, broken: object
) -> None:
    monkeypatch.setattr(accuracy, "decisions", broken)
    verdicts = accuracy_known_truths(reproduce="gate-check")
    failed = [verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL]
    assert failed and all("contradicts it" in verdict.reason for verdict in failed)


def test_a_promise_that_the_gate_does_not_keep_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(accuracy.PROMISED, "missed", (0.15, "missed"))
    verdicts = accuracy_known_truths(reproduce="gate-check")
    assert [v.gate for v in verdicts if v.outcome is Outcome.FAIL] == ["accuracy/simulated/missed"]
