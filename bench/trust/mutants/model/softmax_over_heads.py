"""The softmax runs over heads instead of keys."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:last_row_scores",
    old="logits.softmax(dim=-1)",
    new="logits.softmax(dim=2)",
    source=MADE,
    expected=("equivalence",),
)
