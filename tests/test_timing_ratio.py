"""The ratio of two arms: its estimate, its interval, and what drift and alike neighbours do."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from bench.timing.ratio import (
    block_log_ratios,
    paired_ratio,
    signed_rank_interval,
    variance_inflation,
    walsh_averages,
)

Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Floats]


def seconds(generator: np.random.Generator, blocks: int, level: float) -> Floats:
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


def test_the_estimate_is_the_median_of_the_means_of_two() -> None:
    means = walsh_averages(np.array([1.0, 2.0, 6.0]))
    assert sorted(means) == [1.0, 1.5, 2.0, 3.5, 4.0, 6.0]
    logs = np.array([1.0, 2.0, 6.0])[:, None]
    assert paired_ratio(np.exp(logs), np.ones((3, 1)), 0.99).value == pytest.approx(math.exp(2.75))


@pytest.mark.parametrize("n", [25, 60, 200])
def test_the_interval_holds_what_a_signed_rank_test_does_not_reject(n: int) -> None:
    values = np.random.default_rng(n).standard_t(3, n)
    low, high = signed_rank_interval(walsh_averages(values), n, 0.99, 1.0)
    for end, inwards in ((low, 1e-9), (high, -1e-9)):
        inside: Any = wilcoxon(values - end - inwards, correction=True, method="approx")
        outside: Any = wilcoxon(values - end + inwards, correction=True, method="approx")
        assert outside.pvalue <= 0.01 < inside.pvalue + 1e-3


def test_too_few_blocks_bound_nothing() -> None:
    arm = np.full((6, 2), 2.0)
    ratio = paired_ratio(arm, np.ones((6, 2)), 0.99)
    assert (ratio.low, ratio.value, ratio.high) == (0.0, 2.0, math.inf)


def test_blocks_that_agree_bound_the_ratio_though_they_drift() -> None:
    """25 blocks around 0.63, neighbours alike: nobody doubts that this is below 0.8."""
    logs = np.log(0.63) + 0.01 * np.sin(np.arange(25) / 2)
    low, high = signed_rank_interval(walsh_averages(logs), 25, 0.9995, 1.6)
    assert (low, high) == (logs.min(), logs.max())
    assert signed_rank_interval(walsh_averages(logs), 25, 0.9995, 2.5) == (-math.inf, math.inf)


@pytest.mark.parametrize("blocks", [9, 13, 16, 20, 25])
def test_few_blocks_miss_the_truth_no_more_often_than_stated(blocks: int) -> None:
    assert missed(heavy, blocks=blocks, confidence=0.99, repeats=2000) < 0.015


def plain(generator: np.random.Generator, n: int) -> Floats:
    return generator.standard_normal(n)


def heavy(generator: np.random.Generator, n: int) -> Floats:
    return generator.standard_t(2, n)


def stalls(generator: np.random.Generator, n: int) -> Floats:
    hit = generator.random(n) < 0.2
    return np.asarray(generator.standard_normal(n) + hit * generator.choice([-15.0, 15.0], n))


def alike(generator: np.random.Generator, n: int) -> Floats:
    noise = generator.standard_normal(n)
    for block in range(1, n):
        noise[block] += 0.5 * noise[block - 1]
    return noise


def missed(noise: Noise, *, blocks: int, confidence: float, repeats: int = 600) -> float:
    """Share of intervals that exclude the truth."""
    generator = np.random.default_rng(23)
    misses = 0
    for _ in range(repeats):
        arm = np.exp(0.02 * noise(generator, blocks)[:, None])
        ratio = paired_ratio(arm, np.ones((blocks, 1)), confidence)
        misses += not ratio.low <= 1.0 <= ratio.high
    return misses / repeats


@pytest.mark.parametrize("noise", [plain, heavy, stalls])
@pytest.mark.parametrize("blocks", [24, 80])
def test_the_interval_misses_the_truth_no_more_often_than_stated(noise: Noise, blocks: int) -> None:
    assert 0.02 < missed(noise, blocks=blocks, confidence=0.95) < 0.065


def test_blocks_that_are_alike_widen_the_interval() -> None:
    generator = np.random.default_rng(5)
    inflation = [variance_inflation(alike(generator, 400)) for _ in range(50)]
    assert 2.2 < float(np.mean(inflation)) < 3.2  # (1 + 0.5) / (1 - 0.5) = 3, were all lags summed
    assert variance_inflation(np.zeros(30)) == 1.0
    # Nearly as often right as for independent blocks; without the inflation 26% would be missed.
    assert missed(alike, blocks=80, confidence=0.95, repeats=300) < 0.11


def test_blocks_that_cancel_each_other_do_not_narrow_it() -> None:
    swings = np.tile([1.0, -1.0], 40) + 0.1 * np.random.default_rng(2).standard_normal(80)
    assert variance_inflation(swings) == 1.0


def test_it_is_narrower_than_order_statistics_of_the_blocks() -> None:
    generator = np.random.default_rng(8)
    widths = []
    for _ in range(40):
        logs = 0.02 * generator.standard_normal(100)
        low, high = signed_rank_interval(walsh_averages(logs), 100, 0.99, 1.0)
        ordered = np.sort(logs)
        widths.append((high - low) / (ordered[100 - 37] - ordered[36]))  # the median's, at 99%
    assert float(np.mean(widths)) < 0.85


def test_arms_of_different_measurements_are_refused() -> None:
    with pytest.raises(ValueError, match="different measurements"):
        block_log_ratios(np.ones((3, 2)), np.ones((4, 2)))


@pytest.mark.parametrize(
    "arm", [np.ones((0, 2)), np.full((30, 2), np.nan), np.full((30, 2), np.inf)]
)
def test_no_samples_and_no_numbers_have_no_ratio(arm: Floats) -> None:
    with pytest.raises(ValueError, match="needs blocks"):
        paired_ratio(arm, np.ones(arm.shape), 0.99)
