"""Sizes weigh attention only from the third block on."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.look",
    old="if stage and i > 0 else",
    new="if stage and i > 1 else",
    source=MADE,
    expected=("equivalence", "golden"),
)
