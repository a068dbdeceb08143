"""A patch stands at its column and row, not at its row and column."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.qwen_vl:_positions",
    old="cells = cells_of(high, wide).T",
    new="cells = cells_of(high, wide).T.flip(0)",
    source=MADE,
    expected=("equivalence",),
)
