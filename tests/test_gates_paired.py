"""Paired statistics against published values, and their error rates by exact enumeration."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, norm

from bench.evaluation.statistics import paired
from bench.evaluation.statistics.paired import (
    Pairs,
    decisions,
    difference_interval,
    mcnemar_p,
    tango_score,
    two_sided_mcnemar_p,
    wilson_interval,
)

Z = float(norm.ppf(0.95))


@pytest.mark.parametrize(
    ("lost", "gained", "n", "two_sided", "published"),
    [
        # Fagerland, Lydersen, Laake 2014, airway hyper-responsiveness.
        (7, 1, 21, 0.95, (-0.517, -0.026)),
        # Tango 1998, contact lenses: nothing in one of the discordant cells.
        (1, 0, 44, 0.90, (-0.096, 0.037)),
        # Newcombe 1998, table III.
        (3, 9, 32, 0.95, (-0.027, 0.390)),
        # Agresti, Min 2005.
        (8, 16, 86, 0.95, (-0.020, 0.207)),
    ],
)
def test_intervals_agree_with_published_examples(
    lost: int, gained: int, n: int, two_sided: float, published: tuple[float, float]
) -> None:
    confidence = (1 + two_sided) / 2
    interval = difference_interval(Pairs(lost=lost, gained=gained, n=n), confidence)
    assert interval == pytest.approx(published, abs=5.1e-4)


@pytest.mark.parametrize("n", [10, 100, 480, 1164])
def test_agreeing_everywhere_still_leaves_the_doubt_of_n_questions(n: int) -> None:
    low, high = difference_interval(Pairs(lost=0, gained=0, n=n))
    assert low == pytest.approx(-(Z**2) / (n + Z**2))
    assert high == pytest.approx(-low)


counts = st.integers(0, 60).flatmap(
    lambda lost: st.integers(0, 60).flatmap(
        lambda gained: st.tuples(
            st.just(lost), st.just(gained), st.integers(max(1, lost + gained), 400)
        )
    )
)


@given(counts)
def test_an_interval_holds_its_estimate_and_mirrors_when_runs_are_swapped(
    count: tuple[int, int, int],
) -> None:
    lost, gained, n = count
    pairs = Pairs(lost=lost, gained=gained, n=n)
    low, high = difference_interval(pairs)
    assert -1 <= low <= pairs.delta <= high <= 1
    mirrored = difference_interval(Pairs(lost=gained, gained=lost, n=n))
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)


@given(counts, st.floats(0.005, 0.3))
def test_a_bound_beyond_the_margin_means_that_the_test_rejects_the_margin(
    count: tuple[int, int, int], margin: float
) -> None:
    lost, gained, n = count
    low, high = difference_interval(Pairs(lost=lost, gained=gained, n=n))
    score = float(tango_score(lost, gained, n, -margin))
    if min(abs(score - Z), abs(score + Z), abs(low + margin), abs(high + margin)) < 1e-6:
        return  # on the boundary itself rounding decides
    assert (low > -margin) == (score > Z)
    assert (high < -margin) == (score < -Z)


def outcomes(n: int, discordance: float, delta: float, margin: float) -> tuple[float, float]:
    """Exact chance of PASS and of FAIL, summed over all counts that are likely at all."""
    p_lost = (discordance - delta) / 2
    most = int(n * discordance + 8 * math.sqrt(n * discordance)) + 10
    total = np.arange(most + 1)[:, None]
    lost: NDArray[np.int64] = np.minimum(np.arange(most + 1)[None, :], total)
    chance = binom.pmf(total, n, discordance) * np.where(
        np.arange(most + 1)[None, :] <= total,
        binom.pmf(lost, total, p_lost / discordance),
        0.0,
    )
    assert chance.sum() == pytest.approx(1, abs=1e-6)
    passed, failed = decisions(lost, total - lost, n, margin)
    return float(chance[passed].sum()), float(chance[failed].sum())


@pytest.mark.parametrize("n", [480, 1164])
@pytest.mark.parametrize("margin", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("discordance", [0.0, 0.02, 0.05, 0.08, 0.12])
def test_on_the_margin_itself_either_error_happens_about_one_time_in_twenty(
    n: int, margin: float, discordance: float
) -> None:
    # A loss of `margin` needs at least that much discordance.
    passes, fails = outcomes(n, max(discordance, margin), -margin, margin)
    assert 0.035 < passes <= 0.056
    assert 0.045 < fails <= 0.063


@pytest.mark.parametrize(
    ("n", "passed", "failed"), [(60, 5.5, 8.8), (300, 5.2, 8.3), (1164, 5.5, 5.4)]
)
def test_the_worst_error_rates_on_a_margin_are_those_that_the_module_states(
    n: int, passed: float, failed: float
) -> None:
    rates = [
        outcomes(n, discordance, -margin, margin)
        for margin in (0.01, 0.03, 0.05)
        for discordance in (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.20)
        if discordance >= margin
    ]
    worst = [round(100 * max(side), 1) for side in zip(*rates, strict=True)]
    assert worst == [passed, failed]
    rows = [line.split() for line in (paired.__doc__ or "").splitlines()]
    (stated,) = [row for row in rows if row[:1] == [str(n)]]
    assert (stated[1], stated[3]) == (f"{passed}%", f"{failed}%")


@pytest.mark.parametrize("n", [480, 1164])
@pytest.mark.parametrize("discordance", [0.02, 0.05, 0.08, 0.12])
def test_a_change_that_costs_nothing_is_not_failed(n: int, discordance: float) -> None:
    _, fails = outcomes(n, discordance, 0.0, margin=0.03)
    assert fails < 0.001


@pytest.mark.parametrize(
    ("n", "discordance", "delta"),
    [
        (480, 0.05, -0.05),
        (480, 0.08, -0.06),
        (480, 0.12, -0.07),
        (1164, 0.05, -0.05),
        (1164, 0.08, -0.05),
        (1164, 0.12, -0.06),
    ],
)
def test_a_loss_two_to_four_points_beyond_the_margin_is_found_three_times_in_four(
    n: int, discordance: float, delta: float
) -> None:
    passes, fails = outcomes(n, discordance, delta, margin=0.03)
    assert fails > 0.75
    assert passes < 0.001


def test_mcnemar_is_the_binomial_tail() -> None:
    # 8 of 10 discordant pairs lost: (45 + 10 + 1) / 1024.
    assert mcnemar_p(Pairs(lost=8, gained=2, n=50)) == pytest.approx(56 / 1024)
    assert mcnemar_p(Pairs(lost=0, gained=0, n=50)) == 1
    assert mcnemar_p(Pairs(lost=0, gained=9, n=50)) == 1


def test_the_two_sided_test_counts_both_tails() -> None:
    assert two_sided_mcnemar_p(Pairs(lost=5, gained=0, n=9)) == pytest.approx(2 / 2**5)
    assert two_sided_mcnemar_p(Pairs(lost=0, gained=5, n=9)) == pytest.approx(2 / 2**5)
    assert two_sided_mcnemar_p(Pairs(lost=0, gained=0, n=9)) == 1.0


def test_wilson_interval_agrees_with_a_published_example() -> None:
    # Newcombe 1998, Two-sided confidence intervals for the single proportion, table I.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5.1e-5)


@pytest.mark.parametrize(("lost", "gained", "n"), [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_no_run_can_have_are_refused(lost: int, gained: int, n: int) -> None:
    with pytest.raises(ValueError, match="pairs"):
        Pairs(lost=lost, gained=gained, n=n)
