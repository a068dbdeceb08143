"""One pair more than the capacity asks for is merged."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="rank < surplus",
    new="rank <= surplus",
    source=MADE,
    expected=("equivalence", "golden"),
)
