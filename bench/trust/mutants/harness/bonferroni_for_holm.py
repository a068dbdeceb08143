"""Every category's p is multiplied by their number, not by those that are left."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.statistics.breakdown:holm",
    old="(len(p_values) - rank) *",
    new="len(p_values) *",
    source=MADE,
    expected=("harness",),
)
