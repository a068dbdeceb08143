"""All text behind the image rates, not the words that are close to it"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.sparsevlm:rating",
    old="behind & (lean > mean)",
    new="behind",
    source=MADE,
    expected=("equivalence",),
)
