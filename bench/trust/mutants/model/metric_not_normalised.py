"""Similarity is a dot product instead of a cosine."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:bipartite_soft_matching",
    old="torch.nn.functional.normalize(at_least_float32(metric), dim=-1)",
    new="at_least_float32(metric)",
    source=MADE,
    expected=("equivalence", "golden"),
)
