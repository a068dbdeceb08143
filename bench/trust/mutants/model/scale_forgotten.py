"""Ranking logits are not scaled."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:last_row_scores",
    old=".transpose(2, 3) * scaling",
    new=".transpose(2, 3)",
    source=MADE,
    expected=("equivalence",),
)
