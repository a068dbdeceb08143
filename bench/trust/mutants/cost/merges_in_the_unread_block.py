"""The tower runs and merges in the block that nothing reads."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__call__",
    old="        return in_raster_order(tokens, self.capacity)",
    new=(
        "        _attention(self.blocks[-1].self_attn, tokens.features, None)\n"
        "        return in_raster_order(tokens, self.capacity)"
    ),
    source=MADE,
    expected=("cost",),
)
