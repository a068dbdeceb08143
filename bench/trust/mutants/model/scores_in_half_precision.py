"""Ranking is computed in the model's own half precision, where unequal scores tie."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:last_row_scores",
    old="at_least_float32(key)",
    new="key.bfloat16().to(query.dtype)",
    source=MADE,
    expected=("equivalence",),
)
