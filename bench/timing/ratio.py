"""How many times as long one arm takes as another, from interleaved blocks.

The ratio is taken inside each block, where both arms saw the same machine, and the blocks are
summed up by their median: a block in which something else took the core counts as one block.
Its interval assumes no distribution: the number of blocks below the true median is
Binomial(n, 1/2), so two order statistics enclose it with a known chance (Thompson W. R. (1936),
On confidence ranges for the median, Annals of Mathematical Statistics 7(3):122-128). It assumes
that blocks are independent of each other, which interleaving makes nearly so.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """value: seconds of the arm per second of the reference; above 1 the arm is slower.

    low, high: its two-sided interval at `confidence`; 0 and infinity if blocks are too few.
    """

    value: float
    low: float
    high: float
    confidence: float
    blocks: int


def paired_ratio(
    arm: NDArray[np.float64], reference: NDArray[np.float64], confidence: float
) -> Ratio:
    """Ratio of two arms from their seconds, [blocks, 2] each, block by block."""
    logs = block_log_ratios(arm, reference)
    low, high = median_interval(logs, confidence)
    return Ratio(
        value=math.exp(float(np.median(logs))),
        low=math.exp(low),
        high=math.exp(high),
        confidence=confidence,
        blocks=len(logs),
    )


def block_log_ratios(
    arm: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """log(arm / reference) of each block: [blocks]. Swapping the arms flips the sign.

    Each arm's two calls are averaged as logarithms; mirrored around the block's middle, they
    cancel a drift that is linear over the block.
    """
    if arm.shape != reference.shape:
        raise ValueError(f"{arm.shape} and {reference.shape}: arms of different measurements")
    difference: NDArray[np.float64] = (np.log(arm) - np.log(reference)).mean(axis=1)
    return difference


def median_interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Two order statistics that enclose the true median with at least `confidence`."""
    n = len(values)
    # The largest rank with P(Binomial(n, 1/2) < rank) <= (1 - confidence) / 2.
    rank = int(binom.ppf((1 - confidence) / 2, n, 0.5))
    if rank < 1:
        return -math.inf, math.inf
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[n - rank])
