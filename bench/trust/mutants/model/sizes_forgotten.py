"""Merged tokens keep size 1."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="size = odd_size + (weight.float() @ even_size[..., None]).squeeze(-1)",
    new="size = odd_size.clone()",
    source=MADE,
    expected=("equivalence",),
)
