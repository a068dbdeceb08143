"""The floor is compared with the upper bound of the score."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.statistics.noninferior:floor_verdict",
    old="above = score >= floor",
    new="above = interval[1] >= floor",
    source=MADE,
    expected=("harness",),
)
