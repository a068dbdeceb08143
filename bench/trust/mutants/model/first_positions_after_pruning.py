"""What stays takes the positions of the first placeholders, whichever survived."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._prune",
    old="position_ids=at(sequence.position_ids, index),",
    new=(
        "position_ids=torch.cat([sequence.position_ids[..., : kept.slot.shape[1] + 8], "
        "at(sequence.position_ids, index)[..., kept.slot.shape[1] + 8 :]], dim=-1),"
    ),
    source="VisionZip-Qwen2VL, qwen2vl_encoder.py:91",
    expected=("equivalence",),
)
