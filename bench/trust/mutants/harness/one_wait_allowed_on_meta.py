"""The static and the meta verdict let one wait pass."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.gate:_no_more_than_none",
    old="Outcome.FAIL if count else",
    new="Outcome.FAIL if count > 1 else",
    source=MADE,
    expected=("harness",),
)
