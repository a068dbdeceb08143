"""What a method hands on at a patch that it is not made of passes `method check`."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.method.promises:_made_of_others",
    old="1 + MOVED",
    new="1.0",
    source=MADE,
    expected=("harness",),
)
