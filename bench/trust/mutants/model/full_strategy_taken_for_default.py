"""A checkpoint that hands CLS on is run without it."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.llava:check_clip",
    old='strategy != "default" or ',
    new="",
    source=MADE,
    expected=("equivalence",),
)
