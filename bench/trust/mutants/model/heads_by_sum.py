"""Attention over heads is summed, so that scores no longer sum to 1."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:last_row_scores",
    old=".mean(dim=(1, 2))",
    new=".sum(dim=(1, 2))",
    source=MADE,
    expected=("equivalence",),
)
