"""The layout reads where images start as a list."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="    before = spots.before.gather(1, position)",
    new=(
        "    list(spots.before[:, 0])[0].__index__()\n    before = spots.before.gather(1, position)"
    ),
    source=MADE,
    expected=("syncs",),
)
