"""Thresholds of a tower with more blocks are taken without a word."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__init__",
    old="len(thresholds) != len(blocks)",
    new="len(thresholds) < len(blocks)",
    source="any port of DyMU",
    expected=("equivalence",),
)
