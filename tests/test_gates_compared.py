"""FASTER, SAME, SLOWER or UNSURE, from where an interval lies."""

import math

import pytest

from bench.base.errors import UserError
from bench.base.verdict import Outcome
from bench.gates.compared import Compared, Comparison, compare
from bench.timing.ratio import Ratio


def ratio(low: float, value: float, high: float) -> Ratio:
    return Ratio(low=low, value=value, high=high, confidence=0.99, blocks=40, inflation=1.0)


@pytest.mark.parametrize(
    ("low", "value", "high", "expected"),
    [
        (0.98, 1.00, 1.02, Compared.SAME),
        (0.96, 1.00, 1.04, Compared.SAME),
        (0.96, 1.01, 1.06, Compared.UNSURE),  # may be slower by what matters
        (0.94, 0.99, 1.04, Compared.UNSURE),
        (0.90, 1.00, 1.11, Compared.UNSURE),
        (1.01, 1.05, 1.09, Compared.SLOWER),
        (1.001, 1.026, 1.051, Compared.SLOWER),
        (1.03, 1.04, 1.045, Compared.SLOWER),  # both excluded: nearer to what matters
        (1.005, 1.015, 1.03, Compared.SAME),  # both excluded: nearer to equal
        (1.20, 1.30, 1.40, Compared.SLOWER),
        (0.0, 1.30, math.inf, Compared.UNSURE),
    ],
)
def test_the_interval_decides(low: float, value: float, high: float, expected: Compared) -> None:
    assert compare(ratio(low, value, high), 0.05) is expected


@pytest.mark.parametrize(
    ("low", "value", "high"),
    [(1.01, 1.05, 1.09), (1.03, 1.04, 1.045), (0.98, 1.0, 1.02), (0.96, 1.01, 1.06)],
)
def test_swapping_the_arms_swaps_the_words(low: float, value: float, high: float) -> None:
    swapped = {Compared.SLOWER: Compared.FASTER, Compared.FASTER: Compared.SLOWER}
    there = compare(ratio(low, value, high), 0.05)
    back = compare(ratio(1 / high, 1 / value, 1 / low), 0.05)
    assert back is swapped.get(there, there)


def test_a_smaller_effect_that_matters_asks_for_a_narrower_interval() -> None:
    assert compare(ratio(0.96, 1.0, 1.04), 0.05) is Compared.SAME
    assert compare(ratio(0.96, 1.0, 1.04), 0.03) is Compared.UNSURE


def test_only_slower_fails() -> None:
    assert {word: word.outcome for word in Compared} == {
        Compared.FASTER: Outcome.PASS,
        Compared.SAME: Outcome.PASS,
        Compared.SLOWER: Outcome.FAIL,
        Compared.UNSURE: Outcome.UNSURE,
    }


@pytest.mark.parametrize(
    ("arm", "stages", "effect", "message"),
    [
        ("base", ["prefill"], 0.05, "compared to itself"),
        ("hybrid", [], 0.05, "at least one stage"),
        ("hybrid", ["prefill"], 0.0, "give a share"),
        ("hybrid", ["prefill"], 5.0, "give a share"),
        ("hybrid", ["prefill"], math.nan, "give a share"),
    ],
)
def test_comparisons_that_make_no_sense_are_an_error(
    arm: str, stages: list[str], effect: float, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Comparison(arm=arm, reference="base", stages=stages, effect=effect)
