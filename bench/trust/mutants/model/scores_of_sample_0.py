"""The first sample's scores rank every sample's tokens."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.fastv:FastV.scores",
    old="read.of_image(row)",
    new="read.of_image(row)[:1].expand_as(read.standing.position)",
    source="FastV, all variants",
    expected=("equivalence",),
)
