"""The language model gets a slot for every patch, however few tokens are left."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.dtome:DToMe.slots_of",
    old="return min(self.capacity or left, left)",
    new="return left",
    source=MADE,
    expected=("cost", "equivalence"),
)
