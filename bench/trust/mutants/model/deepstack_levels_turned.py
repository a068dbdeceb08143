"""What is added behind the first layers comes in turned order."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.qwen3_vl:Qwen3VL.deeper",
    old="return levels[1:]",
    new="return levels[:0:-1]",
    source=MADE,
    expected=("equivalence",),
)
