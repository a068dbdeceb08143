"""The tower runs and merges in the block that nothing reads."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.look",
    old="        return Looked(in_raster_order(tokens, self.slots), last)",
    new=(
        "        _attention(self.blocks[-1].self_attn, tokens.features, None)\n"
        "        return Looked(in_raster_order(tokens, self.slots), last)"
    ),
    source=MADE,
    expected=("cost",),
)
