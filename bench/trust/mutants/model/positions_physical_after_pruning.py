"""Pruning turns position ids into physical indices; decode goes on from the logical end."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._prune",
    old="position_ids=at(sequence.position_ids, index),",
    new="position_ids=index.expand(*sequence.position_ids.shape[:-1], -1),",
    source="eobo0530/vlm_optimization, modified modeling_llama.py",
    expected=("equivalence", "golden"),
)
