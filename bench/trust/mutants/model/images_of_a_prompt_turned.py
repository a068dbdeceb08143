"""The images of a prompt stand in each other's place."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.family:joined",
    old="return tensor[images.index].flatten(1, 2)",
    new="return tensor[images.index.flip(1)].flatten(1, 2)",
    source=MADE,
    expected=("equivalence",),
)
