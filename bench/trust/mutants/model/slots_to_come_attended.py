"""Cache slots that are still empty are attended to."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava._span",
    old="to_come = valid.new_zeros(",
    new="to_come = valid.new_ones(",
    source=MADE,
    expected=("equivalence",),
)
