"""The hybrid's floor counts a long layer less than it runs."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.layer_slots_of",
    old="(stage.layer - len(counts))",
    new="(stage.layer - 1 - len(counts))",
    source=MADE,
    expected=("harness",),
)
