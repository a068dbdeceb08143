"""Mask mode hides nothing."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._prune",
    old="valid=sequence.valid & chosen",
    new="valid=sequence.valid",
    source=MADE,
    expected=("equivalence",),
)
