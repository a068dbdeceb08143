"""PyramidDrop ranks by the layer above its own"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.pyramiddrop:PyramidStage.scores",
    old="read.own()",
    new="(read.query, read.key)",
    source=MADE,
    expected=("equivalence",),
)
