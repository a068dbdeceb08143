"""Equal tokens, whose cosine can round above 1, merge at a threshold of 1."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:bipartite_soft_matching",
    old="similarity.clamp(max=1.0)",
    new="similarity",
    source=MADE,
    expected=("equivalence",),
)
