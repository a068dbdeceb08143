"""Attention over heads is combined by the maximum instead of the mean."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:last_row_scores",
    old=".mean(dim=(1, 2))",
    new=".amax(dim=(1, 2))",
    source=MADE,
    expected=("equivalence",),
)
