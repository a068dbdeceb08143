"""Keys are projected a second time."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.language:Language.project",
    old="        key = attention.k_proj(normed)",
    new=("        attention.k_proj(normed)\n        key = attention.k_proj(normed)"),
    source=MADE,
    expected=("cost",),
)
