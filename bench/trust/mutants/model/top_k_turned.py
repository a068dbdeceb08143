"""The top-k keeps the smallest scores."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:keep_top",
    old="descending=True",
    new="descending=False",
    source=MADE,
    expected=("equivalence",),
)
