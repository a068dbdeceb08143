"""How many patches are outliers is counted over the batch"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.prumerge:staying",
    old=".sum(dim=1, keepdim=True).clamp(max=count)",
    new='.sum().div(len(ranked), rounding_mode="floor").clamp(max=count)',
    source="PruMerge, clip_encoder.py",
    expected=("equivalence",),
)
