"""One token less than the budget is kept."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:keep_top",
    old="device=scores.device) < count",
    new="device=scores.device) < count - 1",
    source=MADE,
    expected=("equivalence", "golden"),
)
