"""A method's samples are never tried alone, so one that mixes a batch is in order."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.method.promises:alone",
    old="enumerate(rows)",
    new="enumerate(rows[:0])",
    source=MADE,
    expected=("harness",),
)
