"""The share says what is kept, not what is removed."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.config:Keep.of",
    old="tokens * (1 - self.removed)",
    new="tokens * self.removed",
    source="FastV, fastv_r against ratio in its three variants",
    expected=("equivalence",),
)
