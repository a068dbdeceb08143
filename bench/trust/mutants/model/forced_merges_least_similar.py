"""Where a block has no room, the least similar pairs merge."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="order = similarity.argsort(dim=1, descending=True, stable=True)",
    new="order = similarity.masked_fill(similarity.isinf(), 2.0).argsort(dim=1, stable=True)",
    source=MADE,
    expected=("equivalence",),
)
