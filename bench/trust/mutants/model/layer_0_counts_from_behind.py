"""Feature layer 0 is taken for the last block's."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__init__",
    old="if feature_layer >= 0",
    new="if feature_layer > 0",
    source=MADE,
    expected=("equivalence",),
)
