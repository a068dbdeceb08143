"""A method's waits are looked for in the read-back alone."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.method.promises:waits",
    old='stage != "read-back" for stage',
    new='stage == "read-back" for stage',
    source=MADE,
    expected=("harness",),
)
