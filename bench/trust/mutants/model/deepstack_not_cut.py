"""What is added behind later layers is not cut with the tokens."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._prune",
    old="rows(level, index) for level",
    new="level[:, : index.shape[1]] for level",
    source=MADE,
    expected=("equivalence",),
)
