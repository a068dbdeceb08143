"""A loss that no margin was given for passes."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.statistics.noninferior:difference_verdict",
    old="outcome, doubt = Outcome.UNSURE, ",
    new="doubt = ",
    source=MADE,
    expected=("harness",),
)
