"""The random control draws the same patches for every prompt."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:random_scores",
    old="seed[:, None] * 0x85EBCA6B",
    new="0",
    source=MADE,
    expected=("equivalence",),
)
