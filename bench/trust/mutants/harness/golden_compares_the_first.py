"""Only the first grid of a golden is compared."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.goldens.picture:describe",
    old="    for name in dict.fromkeys([*golden.grids, *now.grids]):",
    new="    for name in list(dict.fromkeys([*golden.grids, *now.grids]))[:1]:",
    source=MADE,
    expected=("harness",),
)
