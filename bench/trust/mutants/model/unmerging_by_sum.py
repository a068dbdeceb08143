"""Virtual unmerging sums over a token's places instead of averaging."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:unmerging",
    old="stands / stands.sum(dim=2, keepdim=True).clamp(min=1.0)",
    new="stands",
    source=MADE,
    expected=("equivalence",),
)
