"""A category counts as worse by its own p, however many there are."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.statistics.breakdown:CategoryRow.worse",
    old="self.holm_p_two_sided < SIGNIFICANT",
    new="self.p_two_sided < SIGNIFICANT",
    source=MADE,
    expected=("harness",),
)
