"""Layers in front of the pruning lose what was pruned as well."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old=(
        "            sequence = self._prune(sequence, kept, standing)  # hidden: [B, R - N + "
        "K, D]\n"
    ),
    new=(
        "            slots = standing.present.shape[1]\n"
        "            index, _ = kept_index(kept, standing.first, sequence.valid.shape[1], "
        "slots)\n"
        "            left = torch.zeros_like(spans[0].valid).scatter_(1, index, True)\n"
        "            spans[0].valid.logical_and_(left)\n"
        "            sequence = self._prune(sequence, kept, standing)  # hidden: [B, R - N + "
        "K, D]\n"
    ),
    source="eobo0530/vlm_optimization",
    expected=("equivalence",),
)
