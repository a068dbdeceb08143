"""FEATHER ranks behind RoPE"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.feather:FeatherStage.scores",
    old="read.unrotated()",
    new="(read.query, read.key)",
    source=MADE,
    expected=("equivalence",),
)
