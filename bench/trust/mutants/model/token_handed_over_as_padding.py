"""DivPrune fills up with the first token where there are fewer than the budget"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.divprune:DivPrune.choose",
    old="taken = torch.zeros_like(valid)",
    new="taken = ~valid",
    source=MADE,
    expected=("equivalence",),
)
