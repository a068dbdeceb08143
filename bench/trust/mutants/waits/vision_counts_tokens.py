"""The tower reads how many tokens are left."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.look",
    old="        if stage:\n            tokens = stage.finish(",
    new=(
        "        if int((tokens.size > 0).sum(dim=1).max()) < 2:\n"
        "            return Looked(in_raster_order(tokens, self.slots), last)\n"
        "        if stage:\n            tokens = stage.finish("
    ),
    source=MADE,
    expected=("syncs",),
)
