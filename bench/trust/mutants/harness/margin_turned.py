"""A loss of the margin need not be ruled out, only not be proven."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.statistics.paired:decisions",
    old="return score > Z, score < -Z",
    new="return score > -Z, score < -Z",
    source=MADE,
    expected=("harness",),
)
