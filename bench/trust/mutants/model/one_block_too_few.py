"""The tower stops a block before the one that LLaVA reads."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__init__",
    old="len(blocks) + 1 + feature_layer",
    new="len(blocks) + feature_layer",
    source=MADE,
    expected=("equivalence", "golden"),
)
