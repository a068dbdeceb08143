"""The first prompt token ranks instead of the last."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old="last_row_scores(query[:, :, -1:], key,",
    new="last_row_scores(query[:, :, :1], key,",
    source=MADE,
    expected=("equivalence", "golden"),
)
