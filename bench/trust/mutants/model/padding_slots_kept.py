"""Empty visual slots take part in the top-k."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:keep_top",
    old='scores.masked_fill(~valid, float("-inf")).argsort',
    new="scores.argsort",
    source=MADE,
    expected=("equivalence", "golden"),
)
