"""Padding takes part in the ranking row's softmax."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:last_row_scores",
    old='    logits = logits.masked_fill(~valid[:, None, None, :], float("-inf"))\n',
    new="",
    source=MADE,
    expected=("equivalence",),
)
