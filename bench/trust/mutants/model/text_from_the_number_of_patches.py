"""Text behind an image goes on from how many tokens it has, not from its longer side."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.qwen_vl:_positions",
    old="position += max(high, wide)",
    new="position += high * wide",
    source=MADE,
    expected=("equivalence",),
)
