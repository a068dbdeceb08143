"""A share is computed in binary floats: 0.8 of 50 leaves 9."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.config:Keep.of",
    old="tokens * (1 - self.removed)",
    new="tokens * (1 - float(self.removed))",
    source="eobo0530/vlm_optimization",
    expected=("equivalence",),
)
