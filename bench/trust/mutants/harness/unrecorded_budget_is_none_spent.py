"""What recorded no budget is shown to spend nothing."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.cost.spending:cells_of",
    old="[NOT_RECORDED] * len(COLUMNS) if",
    new="Budget(0, 0.0, 0, 0).cells if",
    source=MADE,
    expected=("harness",),
)
