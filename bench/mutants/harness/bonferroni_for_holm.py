"""Every category's p is multiplied by their number, not by those that are left."""

from bench.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.breakdown:holm",
    old="(len(p_values) - rank) *",
    new="len(p_values) *",
    source=MADE,
    expected=("harness",),
)
