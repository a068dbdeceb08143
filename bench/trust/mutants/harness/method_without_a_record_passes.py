"""A method that has no golden and no record of cost passes both gates."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.goldens:unrecorded",
    old="outcome=Outcome.UNSURE",
    new="outcome=Outcome.PASS",
    source=MADE,
    expected=("harness",),
)
