"""The interval of a mean where no formula fits: a bootstrap over images."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

RESAMPLES = 10_000
SEED = 20_140_501  # of the resamples, so that a verdict can be repeated
CHUNK = 500  # resamples drawn at once: 500 x 5000 images are 20 MB of indices


def bootstrap_interval(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Bounds of the mean of values [n], each one-sided at `confidence`.

    Bias-corrected and accelerated, since changes of CIDEr are skewed (a lost caption loses much),
    and plain quantiles then pass too easily.

    Efron B. (1987), Better bootstrap confidence intervals, JASA 82(397):171-185.
    """
    if np.ptp(values) == 0:  # scipy calls this degenerate and gives no interval
        return float(values[0]), float(values[0])
    interval = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=CHUNK,
        confidence_level=2 * confidence - 1,
        method="BCa",
        rng=SEED,
    ).confidence_interval
    return float(interval.low), float(interval.high)
