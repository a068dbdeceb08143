"""Text behind the pruned image is taken one token late."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:kept_index",
    old="torch.searchsorted(before, left.text, right=True)",
    new="torch.searchsorted(before, left.text, right=True) - (left.text >= before[:, :1]).long()",
    source=MADE,
    expected=("equivalence", "golden"),
)
