"""Positions go through bfloat16, which has no odd numbers above 256."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:consecutive_position_ids",
    old="(valid.long().cumsum(dim=1) - 1).clamp(min=0)",
    new="(valid.long().cumsum(dim=1) - 1).clamp(min=0).bfloat16().long()",
    source=MADE,
    expected=("equivalence", "golden"),
)
