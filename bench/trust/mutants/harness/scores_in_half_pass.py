"""Scores in half precision pass `method check`, which looks at them in float64 alone."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.method.promises:half",
    old="if fault := shapes(in_half).fault:",
    new="if fault := shapes(trial).fault:",
    source=MADE,
    expected=("harness",),
)
