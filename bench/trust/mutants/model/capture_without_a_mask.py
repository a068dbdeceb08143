"""A capture from an unpadded batch makes a graph without a mask."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.graphs:left_padded",
    old="padded=True",
    new="padded=inputs.padded",
    source=MADE,
    expected=("equivalence",),
)
