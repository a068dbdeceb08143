"""CLS merges into a patch."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:bipartite_soft_matching",
    old='similarity.clamp(max=1.0).masked_fill(is_cls, float("-inf"))',
    new="similarity.clamp(max=1.0)",
    source=MADE,
    expected=("equivalence", "golden"),
)
