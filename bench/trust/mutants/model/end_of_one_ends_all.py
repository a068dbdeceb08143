"""Decoding stops when the first sample ends."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.stopping:EndWatch.all_ended",
    old="finished.all()",
    new="finished.any()",
    source=MADE,
    expected=("equivalence",),
)
