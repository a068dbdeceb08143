"""Windows are masked although all have one size: the same answer, and no flash kernel."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.packing:_groups",
    old="even=min(lengths) == longest",
    new="even=False",
    source=MADE,
    expected=("cost",),
)
