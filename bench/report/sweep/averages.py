"""The budget with which a method gets to so many visual tokens a layer.

A method inside the language model that keeps 9 tokens has seen all of them in its first layers; one
in front of it has not. At equal averages the language model's work is the same.
"""

import inspect
from collections.abc import Iterator
from fractions import Fraction
from statistics import fmean

from bench.arms.models import arm_config
from bench.arms.profiles import Profile
from bench.arms.published import METHODS
from bench.cost.budget import Counted
from hybrid import ConfigError, Keep

STEPS = 100  # of a share


def within(counted: Counted, profile: Profile, arm: str, average: float) -> Keep | float:
    """The budget that comes nearest to `average` tokens a layer and not above it; if none does, the
    least that the method can.

    Raises:
        UserError: there is no such arm, or its method can't be made.
    """
    least, best, keep = float("inf"), 0.0, None
    for candidate in _budgets(arm, counted.patches):
        try:
            found = fmean(counted.slots(arm_config(arm, profile, candidate)))
        except ConfigError:  # a budget that the method cannot meet
            continue
        least = min(least, found)
        if best < found <= average:
            best, keep = found, candidate
    return least if keep is None else keep


def _budgets(arm: str, patches: int) -> Iterator[Keep]:
    """Rising counts, or shares if the method's own budget is one."""
    given = inspect.signature(METHODS[arm]).parameters.get("keep") if arm in METHODS else None
    if given is not None and isinstance(given.default, Keep) and given.default.removed:
        yield from (Keep(removed=Fraction(STEPS - n, STEPS)) for n in range(1, STEPS))
    else:
        yield from (Keep(count=count) for count in range(1, patches))
