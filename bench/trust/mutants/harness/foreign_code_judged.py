"""A gate passes in a checkout whose `hybrid` is not the one that was imported."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.base.checkout:foreign_code",
    old="    for name, found in imported.items():\n",
    new="    for name, found in list(imported.items())[:1]:\n",
    source=MADE,
    expected=("harness",),
)
