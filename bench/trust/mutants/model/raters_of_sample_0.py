"""The words that rate the first sample rate them all"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.sparsevlm:rating",
    old="(lean > mean)",
    new="(lean > mean)[:1]",
    source="SparseVLM, score.py",
    expected=("equivalence",),
)
