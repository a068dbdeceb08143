"""A refusal is read as an option."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.matchers:vlmevalkit_2025_04",
    old=("return REFUSED\n        tokens"),
    new=("return next(iter(options))\n        tokens"),
    source=MADE,
    expected=("harness",),
)
