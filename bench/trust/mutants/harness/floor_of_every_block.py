"""The hybrid's floor counts a block of the tower that it leaves out."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.arms:floors_of",
    old="len(hybrid.vision.blocks)",
    new="shape.vision_layers",
    source=MADE,
    expected=("harness",),
)
