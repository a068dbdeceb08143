"""Left padding moves all positions."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:consecutive_position_ids",
    old="valid.long().cumsum(dim=1)",
    new="torch.ones_like(valid).long().cumsum(dim=1)",
    source=MADE,
    expected=("equivalence",),
)
