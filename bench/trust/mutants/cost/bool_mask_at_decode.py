"""Decode hands attention a bool mask, which it turns into an additive one in each layer."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.decode",
    old="mask = additive(span.valid[:, None, None, :], hidden.dtype)",
    new="mask = span.valid[:, None, None, :]",
    source=MADE,
    expected=("cost",),
)
