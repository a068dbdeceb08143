"""Tokens merge with their least similar partner."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:bipartite_soft_matching",
    old="similarity, partner = scores.max(dim=-1)",
    new=(
        "partner = scores.masked_fill(~allowed, 9.0).min(dim=-1).indices\n"
        "    similarity = scores.gather(2, partner[..., None])[..., 0]"
    ),
    source=MADE,
    expected=("equivalence", "golden"),
)
