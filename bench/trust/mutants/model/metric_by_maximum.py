"""Similarity is measured on the maximum over heads of the keys."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.dtome:DToMe.merge",
    old="metric = keys.mean(dim=1)",
    new="metric = keys.amax(dim=1)",
    source=MADE,
    expected=("equivalence", "golden"),
)
