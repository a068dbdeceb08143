"""Decoded tokens do not see each other."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.decode",
    old="            span.valid.index_fill_(1, slot, True)\n",
    new="",
    source=MADE,
    expected=("equivalence",),
)
