"""Too few blocks give their full range instead of no interval."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.ratio:signed_rank_interval",
    old="        return -math.inf, math.inf\n",
    new="        return float(means.min()), float(means.max())\n",
    source=MADE,
    expected=("harness",),
)
