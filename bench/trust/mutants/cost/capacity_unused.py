"""The language model gets a slot for every patch, however few tokens are left."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__call__",
    old=(
        "        if self.capacity < self.patches:\n"
        "            tokens = self._fit(tokens)\n"
        "        return in_raster_order(tokens, self.capacity)"
    ),
    new=(
        "        if self.capacity < self.patches:\n"
        "            tokens = self._fit(tokens)\n"
        "        self.capacity = self.patches\n"
        "        return in_raster_order(tokens, self.patches)"
    ),
    source=MADE,
    expected=("cost", "equivalence"),
)
