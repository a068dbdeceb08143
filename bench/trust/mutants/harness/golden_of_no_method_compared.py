"""`golden --method` compares no golden at all, and passes."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.goldens:method_golden",
    old="only=(name_of(arm),)",
    new="only=()",
    source=MADE,
    expected=("harness",),
)
