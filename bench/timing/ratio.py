"""How many times as long one arm takes as another, from interleaved blocks.

The ratio is taken inside each block, where both arms saw the same machine, as a logarithm. Over
the blocks it is summed up by the Hodges-Lehmann estimate, the median of all means of two blocks,
and enclosed by Wilcoxon's signed-rank interval (Hollander M., Wolfe D. A., Chicken E. (2014),
Nonparametric Statistical Methods, 3rd ed., sections 3.2 and 3.4). It needs no more of the noise
than that it is as likely to favour one arm as the other. Where the noise is normal it is as
narrow as that of the mean from 95% of the blocks (that of the median: 64%), and blocks in which
something else took the core cannot carry it away.

Blocks near each other in time may be alike: a burst of other load lasts for some of them. Then
there is less in n blocks than n times what is in one. How much less is estimated from the blocks,
and the interval is made wider by it, never narrower.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """value: seconds of the arm per second of the reference; above 1 the arm is slower.

    low, high: its two-sided interval at `confidence`; 0 and infinity if blocks are too few.
    inflation: blocks that say as much as one independent block would; at least 1.
    """

    value: float
    low: float
    high: float
    confidence: float
    blocks: int
    inflation: float


def paired_ratio(arm: Floats, reference: Floats, confidence: float) -> Ratio:
    """Ratio of two arms from their seconds, [blocks, 2] each, block by block.

    Raises ValueError for no blocks, or seconds that are not positive and finite.
    """
    logs = block_log_ratios(arm, reference)
    if not (len(logs) and np.isfinite(logs).all()):
        raise ValueError("a ratio needs blocks, all of them of positive finite seconds")
    means = walsh_averages(logs)
    value = float(np.median(means))
    inflation = variance_inflation(logs - value)
    low, high = signed_rank_interval(means, len(logs), confidence, inflation)
    return Ratio(
        value=math.exp(value),
        low=math.exp(low),
        high=math.exp(high),
        confidence=confidence,
        blocks=len(logs),
        inflation=inflation,
    )


def block_log_ratios(arm: Floats, reference: Floats) -> Floats:
    """log(arm / reference) of each block: [blocks]. Swapping the arms flips the sign.

    Each arm's two calls are averaged as logarithms; mirrored around the block's middle, they
    cancel a drift that is linear over the block.
    """
    if arm.shape != reference.shape:
        raise ValueError(f"{arm.shape} and {reference.shape}: arms of different measurements")
    difference: Floats = (np.log(arm) - np.log(reference)).mean(axis=1)
    return difference


def walsh_averages(values: Floats) -> Floats:
    """Means of all pairs, each value paired with itself too: [n (n + 1) / 2]."""
    first, second = np.triu_indices(len(values))
    means: Floats = (values[first] + values[second]) / 2
    return means


def signed_rank_interval(
    means: Floats, n: int, confidence: float, inflation: float
) -> tuple[float, float]:
    """Two of the Walsh averages of n values, which enclose their centre with `confidence`.

    How many of the averages lie below the true centre is the signed-rank statistic: of mean
    n (n + 1) / 4 and variance n (n + 1) (2 n + 1) / 24 for independent values, `inflation` times
    that for others. It is taken as normal, which this far out errs on the wide side: so wide that
    it may leave no average at all. Then the smallest and the largest value are the interval, if
    n / inflation independent ones would fall on one side of the centre less than half as often as
    is allowed, by the toss of a coin for each. Half, since the inflation is itself estimated.
    """
    deviation = math.sqrt(inflation * n * (n + 1) * (2 * n + 1) / 24)
    z = float(norm.isf((1 - confidence) / 2))
    rank = math.floor(len(means) / 2 + 0.5 - z * deviation)
    if rank < 1 and 0.5 ** (n / inflation - 2) > 1 - confidence:
        return -math.inf, math.inf
    rank = max(rank, 1)
    ordered = np.partition(means, (rank - 1, len(means) - rank))
    return float(ordered[rank - 1]), float(ordered[len(means) - rank])


def variance_inflation(residuals: Floats) -> float:
    """Variance of the signed-rank statistic over what it would be for independent values.

    From the autocorrelation of the signed ranks, in order of time, up to a lag of the square root
    of n, with weights that fall linearly (Newey W. K., West K. D. (1987), Econometrica
    55(3):703-708). At least 1: neighbours that cancel each other are not relied on.
    """
    n = len(residuals)
    scores = np.sign(residuals) * rankdata(np.abs(residuals))
    power = float(scores @ scores)
    if power == 0:
        return 1.0
    lags = math.isqrt(n)
    excess = sum(
        2 * (1 - lag / (lags + 1)) * float(scores[lag:] @ scores[:-lag])
        for lag in range(1, min(lags, n - 1) + 1)
    )
    # The centre is estimated from the same blocks, which hides this share of what they have in
    # common.
    hidden = (lags + 1) / n
    return max(1.0, 1 + excess / power / (1 - hidden)) if hidden < 1 else 1.0
