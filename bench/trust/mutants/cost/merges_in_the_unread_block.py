"""The tower runs and merges in the block that nothing reads."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.look",
    old="        visual = in_raster_order(tokens, self.slots)\n",
    new=(
        "        _attention(self.blocks[-1].self_attn, tokens.features, None)\n"
        "        visual = in_raster_order(tokens, self.slots)\n"
    ),
    source=MADE,
    expected=("cost",),
)
