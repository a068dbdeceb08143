"""A category counts as worse by its own p, however many there are."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.breakdown:CategoryRow.worse",
    old="self.holm < SIGNIFICANT",
    new="self.p < SIGNIFICANT",
    source=MADE,
    expected=("harness",),
)
