"""The tower reads how many tokens are left."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__call__",
    old="        if self.capacity < self.patches:\n",
    new=(
        "        if int((tokens.size > 0).sum(dim=1).max()) < 2:\n"
        "            return in_raster_order(tokens, self.capacity)\n"
        "        if self.capacity < self.patches:\n"
    ),
    source=MADE,
    expected=("syncs",),
)
