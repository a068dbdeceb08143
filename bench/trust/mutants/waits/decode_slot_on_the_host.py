"""Decode reads its step to index the cache."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.decode",
    old="        state.step.add_(1)\n",
    new=("        state.step.add_(1)\n        state.ids[:, int(state.step) - 1]\n"),
    source=MADE,
    expected=("syncs",),
)
