"""Query heads are ranked against another group's keys."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:last_row_scores",
    old=".reshape(batch, groups, heads // groups, width)",
    new=".reshape(batch, heads // groups, groups, width).transpose(1, 2)",
    source=MADE,
    expected=("equivalence",),
)
