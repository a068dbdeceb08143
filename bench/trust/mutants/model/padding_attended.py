"""Padding is attended to."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.masks:causal_mask",
    old="ones.tril() & valid[:, None, :]",
    new="ones.tril() & valid.any()",
    source=MADE,
    expected=("equivalence", "golden"),
)
