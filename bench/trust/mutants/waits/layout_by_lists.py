"""The layout reads where images start as a list."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="    slots = position.shape[1]\n",
    new=("    slots = position.shape[1]\n    list(is_image.int().argmax(dim=1))[0].__index__()\n"),
    source=MADE,
    expected=("syncs",),
)
