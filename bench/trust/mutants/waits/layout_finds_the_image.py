"""The layout looks for the image with nonzero."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="    slots = position.shape[1]\n",
    new=("    slots = position.shape[1]\n    is_image.nonzero()\n"),
    source=MADE,
    expected=("syncs",),
)
