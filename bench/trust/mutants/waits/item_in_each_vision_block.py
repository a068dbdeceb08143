"""A batch of one reads how many tokens are left behind each vision block."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.look",
    old="            hidden = tokens.features\n",
    new=(
        "            hidden = tokens.features\n"
        "            if len(hidden) == 1:\n"
        "                int((tokens.size > 0).sum())\n"
    ),
    source="DyMU, merging at batch size 1",
    expected=("syncs",),
)
