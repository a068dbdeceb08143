"""The sizes of a schedule are used one block late."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.dtome:DToMe.merge",
    old="self.schedule[block]",
    new="self.schedule[max(block - 1, 0)]",
    source=MADE,
    expected=("equivalence",),
)
