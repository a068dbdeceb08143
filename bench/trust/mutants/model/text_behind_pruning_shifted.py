"""Text behind the pruned image is taken one token late."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:kept_index",
    old="index + (slots - budget))",
    new="index + (slots - budget) - 1)",
    source=MADE,
    expected=("equivalence", "golden"),
)
