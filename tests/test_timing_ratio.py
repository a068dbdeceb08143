import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, quantile_test

from bench.timing.ratio import block_log_ratios, median_interval, paired_ratio


def seconds(generator: np.random.Generator, blocks: int, level: float) -> NDArray[np.float64]:
    """[blocks, 2] with the noise of a shared machine: 5% jitter, 3% of the calls doubled."""
    jitter = generator.lognormal(0, 0.05, (blocks, 2))
    return np.asarray(level * jitter * np.where(generator.random((blocks, 2)) < 0.03, 2.0, 1.0))


def test_a_slower_arm_has_a_ratio_above_one() -> None:
    generator = np.random.default_rng(0)
    hybrid, dense = seconds(generator, 60, 1.3), seconds(generator, 60, 1.0)
    slower = paired_ratio(hybrid, dense, 0.99)
    faster = paired_ratio(dense, hybrid, 0.99)
    assert slower.low > 1.2
    assert slower.value == pytest.approx(1.3, rel=0.03)
    assert faster.high < 0.84
    assert (faster.low, faster.value, faster.high) == pytest.approx(
        (1 / slower.high, 1 / slower.value, 1 / slower.low)
    )


def test_drift_that_is_linear_over_a_block_cancels() -> None:
    # A B B A at times 0, 1, 2, 3, while the machine becomes 10% slower with every call.
    slow = 1.1 ** np.arange(4.0)
    a, b = slow[[0, 3]][None], slow[[1, 2]][None]
    assert block_log_ratios(a, b) == pytest.approx(0)
    assert math.log(slow[1] / slow[0]) == pytest.approx(0.0953, abs=1e-4)  # what A B alone says


@pytest.mark.parametrize("n", [8, 9, 10, 23, 80, 301])
@pytest.mark.parametrize("confidence", [0.9, 0.99, 0.995])
def test_the_median_interval_is_exact_and_as_short_as_it_can_be(n: int, confidence: float) -> None:
    low, high = median_interval(np.arange(1.0, n + 1), confidence)
    tail = (1 - confidence) / 2
    if math.isinf(low):
        assert (low, high) == (-math.inf, math.inf)
        assert binom.cdf(0, n, 0.5) > tail
        return
    rank = int(low)
    assert high == n + 1 - rank
    assert binom.cdf(rank - 1, n, 0.5) <= tail < binom.cdf(rank, n, 0.5)


def test_the_median_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).normal(size=57)
    result: Any = quantile_test(values, p=0.5)
    expected = result.confidence_interval(0.99)
    assert median_interval(values, 0.99) == pytest.approx((expected.low, expected.high))


def test_the_interval_misses_the_true_ratio_no_more_often_than_stated() -> None:
    generator = np.random.default_rng(17)
    repeats, missed = 2000, 0
    for _ in range(repeats):
        ratio = paired_ratio(seconds(generator, 40, 1.1), seconds(generator, 40, 1.0), 0.95)
        missed += not ratio.low <= 1.1 <= ratio.high
    assert 0.02 < missed / repeats <= 0.06  # order statistics are discrete: 3.8% at 40 blocks


def test_arms_of_different_measurements_are_refused() -> None:
    with pytest.raises(ValueError, match="different measurements"):
        block_log_ratios(np.ones((3, 2)), np.ones((4, 2)))
