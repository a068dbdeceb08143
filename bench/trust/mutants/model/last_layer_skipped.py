"""The last layer is left out behind the pruning."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old="rest = range(begin, len(layers))",
    new="rest = range(begin, len(layers) - 1)",
    source=MADE,
    expected=("equivalence",),
)
