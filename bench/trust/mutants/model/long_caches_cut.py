"""Layers in front of the pruning lose what was pruned as well."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old=(
        "            sequence, standing = self._prune(sequence, kept, standing)  # "
        "hidden: [B, R - N + K, D]\n"
    ),
    new=(
        "            index, _, _ = kept_index(kept, standing.place, "
        "sequence.valid.shape[1])\n"
        "            left = torch.zeros_like(spans[0].valid).scatter_(1, index, True)\n"
        "            spans[0].valid.logical_and_(left)\n"
        "            sequence, standing = self._prune(sequence, kept, standing)  # "
        "hidden: [B, R - N + K, D]\n"
    ),
    source="eobo0530/vlm_optimization",
    expected=("equivalence",),
)
