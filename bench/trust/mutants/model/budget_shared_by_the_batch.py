"""The budget is divided by the batch"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.stages:top",
    old="order[:, :budget]",
    new="order[:, : max(1, budget // len(order))]",
    source="SCOPE",
    expected=("equivalence",),
)
