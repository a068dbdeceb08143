"""The first sample's scores rank every sample's tokens."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.prefill",
    old="rank_scores(scores, visual.position,",
    new="rank_scores(scores[:1].expand_as(scores), visual.position,",
    source="FastV, all variants",
    expected=("equivalence",),
)
