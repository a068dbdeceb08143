"""A token sees what stands behind it."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.masks:causal_mask",
    old="ones.tril() & valid[:, None, :]",
    new="ones & valid[:, None, :]",
    source=MADE,
    expected=("equivalence",),
)
