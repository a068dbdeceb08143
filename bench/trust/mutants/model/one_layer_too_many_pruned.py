"""Pruning hits one layer early: the aggregation layer itself is left out."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old="range(aggregation + 1) if prunes",
    new="range(aggregation) if prunes",
    source=MADE,
    expected=("equivalence",),
)
