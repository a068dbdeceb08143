"""Chance gets as many tokens as a method keeps at its end, not as its layers see."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.report.sweep.run:plain_cells",
    old="max(1, int(average))",
    new="cell.keep.count or max(1, int(average))",
    source=MADE,
    expected=("harness",),
)
