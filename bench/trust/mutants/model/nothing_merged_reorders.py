"""A block that merges nothing reorders its tokens: the next one splits them otherwise than DyMU."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="parity = slots & merged.any(dim=1, keepdim=True)",
    new="parity = slots & 1",
    source=MADE,
    expected=("equivalence", "golden"),
)
