"""ToMe's merges are spread over the block that is not read as well"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.methods.tome:ToMe.fitted",
    old="patches - self.keep.of(patches), read)",
    new="patches - self.keep.of(patches), blocks)",
    source=MADE,
    expected=("equivalence",),
)
