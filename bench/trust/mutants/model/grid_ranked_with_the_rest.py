"""The grid that FEATHER keeps beside the best is ranked with the rest and dropped"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.feather:FeatherStage.scores",
    old="scores + 1",
    new="scores",
    source="FEATHER, llama2_models.py",
    expected=("equivalence",),
)
