"""A share is taken of the capacity instead of each image's own tokens."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.pruning:keep_top",
    old="counts[valid.sum(dim=1)][:, None]",
    new="counts[-1:].expand(len(valid))[:, None]",
    source=MADE,
    expected=("equivalence", "golden"),
)
