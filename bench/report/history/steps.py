"""Steps in a series of noisy values: where its level changed, and by how much.

The series is fitted by a piecewise constant function that minimises

    sum_i |x_i - level(i)| / s_i  +  penalty * (number of steps),

found exactly by dynamic programming over the last step (the Potts functional; Jackson B. et al.
(2005), An algorithm for optimal partitioning of data on an interval, IEEE Signal Processing
Letters 12(2):105-108). airspeed velocity detects steps in benchmark histories by the same
functional. Absolute deviations and at least two values to a level make one wild run no step, and
so the newest run alone is none either: the one after it has to agree.

s_i joins what the run's own interval says with the scatter between runs, which no interval inside
a run can see; that is estimated robustly from differences of neighbours, where a step touches one
of many.

The penalty is chosen so that a series without a step shows one with a chance of at most ALARM:
for n - 1 places where it could be, each may fool us with ALARM / (n - 1). Twice the gain of a
split in absolute deviations, scaled by the density at the median, is chi-square with one degree of
freedom (Koenker R., Bassett G. (1982), Tests of linear hypotheses and L1 estimation, Econometrica
50(6):1577-1584); with few runs the scatter is known badly, so F with n - 2 takes its place.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f, norm

ALARM = 0.05
SHORTEST = 2  # values to a level
FEWEST = 4  # values: below this there is nothing to compare
NORMAL_MAD = 1 / float(norm.ppf(0.75))  # median absolute deviation -> standard deviation


@dataclass(frozen=True)
class Level:
    """Values start..stop (exclusive) lie around `value`."""

    start: int
    stop: int
    value: float


def find_levels(
    values: Sequence[float], errors: Sequence[float] | None = None, *, alarm: float = ALARM
) -> list[Level]:
    """The levels of a series in order; one level means no step.

    Args:
        values: in order of time.
        errors: standard error of each value as its own run knows it; 0 where it knows none.
        alarm: chance of any step where there is none.

    Raises:
        ValueError: a value or an error is not finite, or an error is negative.
    """
    x = np.asarray(values, dtype=np.float64)
    own = np.zeros_like(x) if errors is None else np.asarray(errors, dtype=np.float64)
    if x.shape != own.shape or not (np.isfinite(x).all() and np.isfinite(own).all()):
        raise ValueError("values and errors must be finite, and as many")
    if (own < 0).any():
        raise ValueError("a standard error is negative")
    n = len(x)
    if n == 0:
        return []
    scale = _scales(x, own)
    if n < FEWEST or scale is None:
        return [Level(0, n, float(np.median(x)))]
    penalty = math.sqrt(2 * math.pi) / 4 * float(f.isf(alarm / (n - 1), 1, n - 2))
    starts = _partition(x, 1 / scale, penalty)
    return [
        Level(start, stop, _weighted_median(x[start:stop], 1 / scale[start:stop]))
        for start, stop in zip(starts, [*starts[1:], n], strict=True)
    ]


def _scales(x: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Standard deviation of each value around its level; None if nothing varies at all."""
    if len(x) < FEWEST or float(np.ptp(x)) == 0:
        return None
    scatter = NORMAL_MAD * float(np.median(np.abs(np.diff(x)))) / math.sqrt(2)
    between = max(scatter**2 - float(np.median(own**2)), 0.0)
    # Repeated equal values would leave no scatter at all, and any change would be a step.
    least = (1e-6 * float(np.median(np.abs(x)) + np.ptp(x))) ** 2
    scales: NDArray[np.float64] = np.sqrt(np.maximum(own**2 + between, least))
    return scales


def _partition(x: NDArray[np.float64], weights: NDArray[np.float64], penalty: float) -> list[int]:
    """Where the levels of the best fit start."""
    n = len(x)
    best = np.full(n + 1, math.inf)  # of the values from here to the end
    best[n] = -penalty
    following = [n] * (n + 1)
    for start in range(n - SHORTEST, -1, -1):
        for stop, cost in _costs(x[start:], weights[start:]):
            if stop < SHORTEST:
                continue
            total = cost + penalty + best[start + stop]
            if total < best[start] - 1e-12:
                best[start], following[start] = total, start + stop
    starts, place = [], 0
    while place < n:
        starts.append(place)
        place = following[place]
    return starts


def _costs(x: NDArray[np.float64], weights: NDArray[np.float64]) -> "list[tuple[int, float]]":
    """For each k: k and the weighted absolute deviations of x[:k] from their weighted median.

    Two heaps hold the values below and above the median, with the sums that the cost needs.
    """
    lower: list[tuple[float, float]] = []  # negated values: the largest is first
    upper: list[tuple[float, float]] = []
    low_weight = low_sum = high_weight = high_sum = 0.0
    costs = []
    for k, (value, weight) in enumerate(zip(x.tolist(), weights.tolist(), strict=True), start=1):
        if lower and value <= -lower[0][0]:
            heapq.heappush(lower, (-value, weight))
            low_weight, low_sum = low_weight + weight, low_sum + weight * value
        else:
            heapq.heappush(upper, (value, weight))
            high_weight, high_sum = high_weight + weight, high_sum + weight * value
        while upper and low_weight < high_weight:
            v, w = heapq.heappop(upper)
            heapq.heappush(lower, (-v, w))
            low_weight, low_sum = low_weight + w, low_sum + w * v
            high_weight, high_sum = high_weight - w, high_sum - w * v
        while len(lower) > 1 and low_weight - lower[0][1] >= high_weight + lower[0][1]:
            v, w = heapq.heappop(lower)
            heapq.heappush(upper, (-v, w))
            low_weight, low_sum = low_weight - w, low_sum - w * -v
            high_weight, high_sum = high_weight + w, high_sum + w * -v
        median = -lower[0][0]
        costs.append((k, high_sum - median * high_weight + median * low_weight - low_sum))
    return costs


def _weighted_median(x: ArrayLike, weights: ArrayLike) -> float:
    values, shares = np.asarray(x, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    order = np.argsort(values)
    reached = np.cumsum(shares[order])
    middle = int(np.searchsorted(reached, reached[-1] / 2))
    return float(values[order][middle])
