"""All images are laid out where the first one starts."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="first = is_image.int().argmax(dim=1)",
    new="first = is_image.int().argmax(dim=1)[:1].expand(len(is_image))",
    source=MADE,
    expected=("equivalence",),
)
