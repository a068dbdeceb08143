"""Tokens of a smaller image stand at the first patches of the whole one"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower._embedded",
    old="* across // wide",
    new="",
    source=MADE,
    expected=("equivalence",),
)
