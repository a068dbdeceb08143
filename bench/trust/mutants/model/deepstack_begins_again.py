"""What is added behind the first layers is added once more behind a pruning."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._layers",
    old="replace(sequence, hidden=hidden, deeper=deeper)",
    new="replace(sequence, hidden=hidden)",
    source=MADE,
    expected=("equivalence",),
)
