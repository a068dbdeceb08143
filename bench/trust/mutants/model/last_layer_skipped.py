"""The last layer is left out behind the pruning."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old="short = range(aggregation + 1, len(layers))",
    new="short = range(aggregation + 1, len(layers) - 1)",
    source=MADE,
    expected=("equivalence",),
)
