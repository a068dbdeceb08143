"""Features stand in another order than the positions of what stays"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.prumerge:PruMerge.choose",
    old="own = rows(features, slot)",
    new="own = rows(features, slot.flip(1))",
    source="EffiVLM-Bench, qwen2vl_model.py",
    expected=("equivalence",),
)
