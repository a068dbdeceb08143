"""Similarity is measured on queries instead of keys."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:_attention",
    old="return projected, query, key",
    new="return projected, query, query",
    source=MADE,
    expected=("equivalence", "golden"),
)
