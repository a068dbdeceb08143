"""Logits that are no numbers become a token like any other."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.arms.finite:FiniteWatch.see",
    old="logits.isfinite()",
    new="logits.isneginf().logical_not()",
    source="https://github.com/ml-explore/mlx-vlm/issues/1163",
    expected=("harness",),
)
