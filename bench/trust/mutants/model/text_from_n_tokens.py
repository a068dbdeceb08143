"""Text behind the image goes on from N merged tokens instead of all patches."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="torch.where(behind_first < 0, index, index + (patches - slots))",
    new="torch.where(behind_first < 0, index, index)",
    source=MADE,
    expected=("equivalence", "golden"),
)
