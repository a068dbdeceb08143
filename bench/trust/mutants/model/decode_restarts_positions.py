"""Decode goes on from the number of tokens that are left, not from the logical end."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._span",
    old="next_position = sequence.position_ids[..., -1] + 1",
    new="next_position = valid.sum(dim=1)",
    source="FastV, modeling with KV cache, issue 49",
    expected=("equivalence", "golden"),
)
