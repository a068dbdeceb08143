"""The first prompt token ranks instead of the last."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.fastv:FastV.scores",
    old="read.query[:, :, -1:]",
    new="read.query[:, :, :1]",
    source=MADE,
    expected=("equivalence", "golden"),
)
