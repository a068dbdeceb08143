"""The end token itself is replaced by padding."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.generate",
    old="longest = int((~ended).sum(dim=1).max()) + 1",
    new="longest = int((~ended).sum(dim=1).max())",
    source=MADE,
    expected=("equivalence",),
)
