"""Sizes weigh attention only from the third block on."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__call__",
    old="self.merges and i > 0",
    new="self.merges and i > 1",
    source=MADE,
    expected=("equivalence", "golden"),
)
