"""A count above the tokens that are there is not cut down to them."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.config:Keep.of",
    old="return min(self.count, tokens)",
    new="return self.count",
    source=MADE,
    expected=("equivalence",),
)
