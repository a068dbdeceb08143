"""The hybrid's floor counts a long layer less than it runs."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.arms:floors_of",
    old="config.aggregation_layer + 1",
    new="config.aggregation_layer",
    source=MADE,
    expected=("harness",),
)
