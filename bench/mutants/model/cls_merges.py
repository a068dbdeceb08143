"""CLS merges into a patch."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:bipartite_soft_matching",
    old='similarity.masked_fill(is_cls, float("-inf"))',
    new="similarity",
    source=MADE,
    expected=("equivalence", "golden"),
)
