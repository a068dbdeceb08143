"""Pruning hits one layer early: the aggregation layer itself is left out."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods:stages_of",
    old="config.aggregation_layer + 1",
    new="max(config.aggregation_layer, 1)",
    source=MADE,
    expected=("equivalence",),
)
