"""Tokens merge at the threshold itself, not only above it."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="merged = similarity > threshold",
    new="merged = similarity >= threshold",
    source=MADE,
    expected=("equivalence", "golden"),
)
