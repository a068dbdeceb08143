"""All images are laid out where the first one starts."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="before = spots.before.gather(1, position)",
    new="before = spots.before[:1].expand_as(spots.before).gather(1, position)",
    source=MADE,
    expected=("equivalence",),
)
