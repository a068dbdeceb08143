"""Merged tokens stay in the order of the tower's windows."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.packing:PackedTower.pack",
    old="where = order.argsort()",
    new="where = torch.arange(len(order))",
    source=MADE,
    expected=("equivalence",),
)
