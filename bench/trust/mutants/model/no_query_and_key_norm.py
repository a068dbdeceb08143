"""Query and key go without their norms."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.language:Language.project",
    old='if hasattr(attention, "q_norm")',
    new="if False",
    source=MADE,
    expected=("equivalence",),
)
