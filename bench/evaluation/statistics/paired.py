"""Statistics of two runs that answered the same questions.

Only the questions on which the runs differ carry information: `lost` were right in the
reference and are wrong now, `gained` the other way round.

The usual standard error of the difference, sqrt((lost + gained)/n - delta^2)/sqrt(n), is zero
when nothing differs, and would call any n identical answers proof. The intervals here invert
Tango's score test instead, whose variance is taken under the difference being tested: with no
discordant pair the 95% bound is z^2/(n + z^2), 2.6 points at n = 100.

Tango T. (1998), Equivalence test and confidence interval for the difference in proportions for
the paired-sample design. Statistics in Medicine 17(8):891-908, equations 24 to 26.

Where the truth lies on a margin of 1 to 5 points exactly, either side should err 5% of the time.
Summed exactly over all counts, for 1 to 20% of discordant pairs, the worst of those:

    n       PASS, Tango    PASS, usual interval    FAIL, Tango    FAIL, usual interval
    1164    5.5%           10.5%                   5.4%           5.0%
    300     5.2%           19.8%                   8.3%           5.1%
    60      5.5%           54.7%                   8.8%           5.6%

FAIL is above its 5% only where nearly every discordant pair is a loss and few are expected.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, norm

BISECTIONS = 60  # of an interval at most 2 wide: below the spacing of float64
CONFIDENCE = 0.95  # of each side
Z = float(norm.ppf(CONFIDENCE))


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Counts of n paired answers. Raises ValueError if they cannot be counts of n pairs."""

    lost: int
    gained: int
    n: int

    def __post_init__(self) -> None:
        if self.n < 1 or min(self.lost, self.gained) < 0 or self.lost + self.gained > self.n:
            raise ValueError(f"{self.lost} lost and {self.gained} gained of {self.n} pairs")

    @property
    def delta(self) -> float:
        """Accuracy now minus accuracy of the reference, -1 to 1."""
        return (self.gained - self.lost) / self.n


def paired(before: Mapping[int, bool], after: Mapping[int, bool], ids: Iterable[int]) -> Pairs:
    """Counts over these questions."""
    chosen = list(ids)
    return Pairs(
        lost=sum(before[i] and not after[i] for i in chosen),
        gained=sum(after[i] and not before[i] for i in chosen),
        n=len(chosen),
    )


def mcnemar_p(pairs: Pairs) -> float:
    """Exact one-sided McNemar test: the chance of losing this many or more if nothing changed.

    Given lost + gained discordant pairs, `lost` is Binomial(lost + gained, 1/2).
    """
    discordant = pairs.lost + pairs.gained
    if discordant == 0:
        return 1.0
    return float(binomtest(pairs.lost, discordant, 0.5, alternative="greater").pvalue)


def two_sided_mcnemar_p(pairs: Pairs) -> float:
    """Exact McNemar test of "neither run is better": the verdict asks about losses alone."""
    discordant = pairs.lost + pairs.gained
    return float(binomtest(pairs.lost, discordant, 0.5).pvalue) if discordant else 1.0


def decisions(
    lost: ArrayLike, gained: ArrayLike, n: int, margin: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a loss of `margin` is ruled out, and whether less than that is; each at 95%.

    Broadcasts over lost and gained: what the gate decides for one pair of runs, the gate's own
    check decides for thousands of simulated ones. The bounds of `difference_interval` say the same.
    """
    score = tango_score(lost, gained, n, -margin)
    return score > Z, score < -Z


def tango_score(lost: ArrayLike, gained: ArrayLike, n: int, delta: float) -> NDArray[np.float64]:
    """Tango's statistic for "the true difference is delta"; standard normal if it is.

    Positive where the pairs look better than delta. Broadcasts over lost and gained.
    """
    b, c = np.asarray(lost, dtype=np.float64), np.asarray(gained, dtype=np.float64)
    # Maximum-likelihood chance of losing a question, given that the difference is delta.
    slope = (2 * n - c + b) * delta - (b + c)
    root = np.sqrt(np.maximum(slope**2 + 8 * n * b * delta * (1 - delta), 0.0))
    p_lost = (root - slope) / (4 * n)
    variance = n * (2 * p_lost + delta * (1 - delta))
    with np.errstate(divide="ignore", invalid="ignore"):  # no variance left at delta = -1, 0, 1
        score: NDArray[np.float64] = (c - b - n * delta) / np.sqrt(np.maximum(variance, 0.0))
    return score


def difference_interval(pairs: Pairs, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Lower and upper bound of the difference, each one-sided at `confidence`.

    As a two-sided interval its level is 2 * confidence - 1: 90% where each side has 95%.
    """
    z = float(norm.ppf(confidence))

    def score(delta: float) -> float:
        return float(tango_score(pairs.lost, pairs.gained, pairs.n, delta))

    low = _boundary(lambda delta: score(delta) > z, rejected=-1.0, accepted=pairs.delta)
    high = _boundary(lambda delta: score(delta) < -z, rejected=1.0, accepted=pairs.delta)
    return low, high


def _boundary(rejects: Callable[[float], bool], *, rejected: float, accepted: float) -> float:
    """Where the test stops rejecting, between a difference it rejects and one it accepts."""
    for _ in range(BISECTIONS):
        middle = (rejected + accepted) / 2
        if rejects(middle):
            rejected = middle
        else:
            accepted = middle
    return accepted


def wilson_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided Wilson score interval of one proportion."""
    interval = binomtest(hits, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)
