"""Is an arm faster, the same or slower than another that it should equal?

Two mistakes matter, and each has its guard: to call arms different that are equal, and to call
arms equal that differ by the smallest effect that matters. A difference is claimed only where the
interval of the ratio excludes 1; SAME only where it excludes that effect, on both sides. Where it
excludes both, and a narrow interval around 1.02 or 1.04 does when 5% is what matters, the nearer
of the two says which it is. So, with a smallest effect e that matters:

    SLOWER  certainly not equal, and nearer to 1 + e than to 1, or beyond it
    FASTER  the same in the other direction
    SAME    certainly not slower or faster by e, and nearer to 1
    UNSURE  neither is certain yet: more samples are needed

The line between SAME and SLOWER is thus at half of e. SLOWER does not say that e itself is
exceeded: an arm that is slower by three quarters of e is usually found, and called, SLOWER.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.base.errors import UserError
from bench.base.verdict import Outcome
from bench.timing.ratio import Ratio

SMALLEST_EFFECT = {"cpu": 0.05, "cuda": 0.03}
"""Device type -> the share by which an answer must differ before anyone cares."""


class Compared(StrEnum):
    FASTER = "FASTER"
    SAME = "SAME"
    SLOWER = "SLOWER"
    UNSURE = "UNSURE"

    @property
    def outcome(self) -> Outcome:
        """What it means for a merge."""
        if self is Compared.SLOWER:
            return Outcome.FAIL
        return Outcome.UNSURE if self is Compared.UNSURE else Outcome.PASS


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Asks of each stage of `arm` how it compares to that of `reference`.

    effect: the smallest one that matters, as a share: 0.05 is a ratio of 1.05, or of 1/1.05.

    Raises UserError for no stage, an effect that is no such share, or an arm against itself.
    """

    arm: str
    reference: str
    stages: Sequence[str]
    effect: float

    def __post_init__(self) -> None:
        if self.arm == self.reference:
            raise UserError(f"latency of {self.arm!r} compared to itself: name another arm")
        if not self.stages:
            raise UserError(f"latency of {self.arm!r}: name at least one stage to compare")
        if not 0 < self.effect < 1:
            raise UserError(
                f"smallest effect that matters is {self.effect}: give a share, such as 0.05"
            )


def compare(ratio: Ratio, effect: float) -> Compared:
    """The rule above."""
    limit = math.log1p(effect)
    low, value, high = (
        math.log(end) if end > 0 else -math.inf for end in (ratio.low, ratio.value, ratio.high)
    )
    if low > 0 and (high >= limit or value > limit / 2):
        return Compared.SLOWER
    if high < 0 and (low <= -limit or value < -limit / 2):
        return Compared.FASTER
    return Compared.SAME if -limit < low and high < limit else Compared.UNSURE
