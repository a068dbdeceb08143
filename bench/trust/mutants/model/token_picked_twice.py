"""DivPrune may choose a token that it has chosen already"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.divprune:DivPrune.choose",
    old="taken = taken.scatter(1, index, True)",
    new="taken = taken.clone()",
    source="DivPrune",
    expected=("equivalence",),
)
