"""The mean of a score and its interval, where no formula fits: a bootstrap over images."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

RESAMPLES = 10_000
SEED = 20_140_501  # of the resamples, so that a verdict can be repeated
CHUNK = 500  # resamples drawn at once: 500 x 5000 images are 20 MB of indices


def bootstrap_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of RESAMPLES resamples with replacement of values [n]: [RESAMPLES]."""
    generator = np.random.default_rng(SEED)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, CHUNK):
        rows = min(CHUNK, RESAMPLES - start)
        drawn = generator.integers(len(values), size=(rows, len(values)))
        means[start : start + rows] = values[drawn].mean(axis=1)
    return means


def bootstrap_interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Bounds of the mean, each one-sided at `confidence`, bias-corrected and accelerated: changes
    of CIDEr are skewed (a lost caption loses much), and plain quantiles then pass too easily.

    Efron B. (1987), Better bootstrap confidence intervals, JASA 82(397):171-185.
    """
    mean, means = values.mean(), bootstrap_means(values)
    deviations = values - mean
    spread = float((deviations**2).sum())
    if spread == 0:
        return float(mean), float(mean)
    acceleration = float((deviations**3).sum()) / (6 * spread**1.5)
    bias = norm.ppf(((means < mean).mean() + (means <= mean).mean()) / 2)
    z = bias + norm.ppf([1 - confidence, confidence])
    low, high = np.quantile(means, norm.cdf(bias + z / (1 - acceleration * z)))
    return float(low), float(high)
