"""A replay keeps the image of its capture."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.graphs:_copy_inputs",
    old="    target.pixel_values.copy_(source.pixel_values)\n",
    new="",
    source=MADE,
    expected=("equivalence",),
)
