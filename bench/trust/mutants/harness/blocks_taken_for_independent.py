"""Blocks that drift together are taken for independent."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.timing.ratio:variance_inflation",
    old="    if power == 0:\n",
    new="    if power >= 0:\n",
    source=MADE,
    expected=("harness",),
)
