"""Mask mode uses an operator that CUDA has no kernel of for bool."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._prune",
    old="nowhere.scatter(1, index.where(stays, length), True)[:, :length]",
    new='nowhere[:, :length].scatter_reduce(1, index, stays, "amax")',
    source=MADE,
    expected=("equivalence",),
)
