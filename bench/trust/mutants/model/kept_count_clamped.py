"""The count is taken of all 576 patches and clamped to what is left: pruning does nothing."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.config:Keep.of",
    old="return max(1, int(tokens * (1 - self.removed)))",
    new="return min(tokens, max(1, int(576 * (1 - self.removed))))",
    source="eobo0530/vlm_optimization, commit e1d4c49",
    expected=("equivalence", "golden"),
)
