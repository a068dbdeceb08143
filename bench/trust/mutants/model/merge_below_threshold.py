"""Tokens merge where they are less alike than the threshold."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="merged = similarity > threshold",
    new="merged = (similarity < threshold) & similarity.isfinite()",
    source=MADE,
    expected=("equivalence", "golden"),
)
