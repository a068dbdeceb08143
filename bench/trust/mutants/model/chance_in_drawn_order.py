"""What is handed on stands in the order of its scores"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.stages:top",
    old="order[:, :budget].sort(dim=1).values",
    new="order[:, :budget]",
    source="UniPruneBench, random control",
    expected=("equivalence",),
)
