"""The tower runs the last block, which LLaVA leaves out."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__init__",
    old="len(blocks) + 1 + feature_layer",
    new="len(blocks) + 2 + feature_layer",
    source=MADE,
    expected=("equivalence", "golden"),
)
