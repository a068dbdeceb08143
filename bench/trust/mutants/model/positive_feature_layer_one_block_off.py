"""A feature layer that is counted from the front is read a block late."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__init__",
    old="used = feature_layer if feature_layer >= 0",
    new="used = feature_layer + 1 if feature_layer >= 0",
    source=MADE,
    expected=("equivalence",),
)
