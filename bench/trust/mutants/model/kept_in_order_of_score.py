"""Kept tokens stand in order of their score."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:keep_top",
    old=".sort(dim=1).values",
    new="",
    source=MADE,
    expected=("equivalence", "golden"),
)
