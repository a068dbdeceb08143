"""An interval over its bound passes."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.base.verdict:decide",
    old="return Outcome.FAIL if fails else Outcome.UNSURE",
    new="return Outcome.FAIL if fails else Outcome.PASS",
    source=MADE,
    expected=("harness",),
)
