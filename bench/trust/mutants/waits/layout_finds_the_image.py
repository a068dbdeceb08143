"""The layout looks for the image with nonzero."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="    before = spots.before.gather(1, position)",
    new="    spots.before.nonzero()\n    before = spots.before.gather(1, position)",
    source=MADE,
    expected=("syncs",),
)
