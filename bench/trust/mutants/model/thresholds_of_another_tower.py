"""Thresholds of a tower with more blocks are taken without a word."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.dtome:DToMe.fitted",
    old="len(self.thresholds) != blocks",
    new="len(self.thresholds) < blocks",
    source="any port of DyMU",
    expected=("equivalence",),
)
