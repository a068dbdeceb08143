"""Forced merges are counted over the whole batch, for each of its images."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="(needed & ~merged).sum(dim=1)",
    new="(needed & ~merged).sum()",
    source=MADE,
    expected=("equivalence",),
)
