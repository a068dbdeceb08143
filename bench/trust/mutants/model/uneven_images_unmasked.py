"""What images of other sizes leave empty is attended to."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._leaves_padding",
    old="(uneven and drops)",
    new="False",
    source=MADE,
    expected=("equivalence",),
)
