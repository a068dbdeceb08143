"""A sample of which nothing merges is reordered where something merges in its neighbour."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="parity = slots & merged.any(dim=1, keepdim=True)",
    new="parity = slots & merged.any()",
    source=MADE,
    expected=("equivalence",),
)
