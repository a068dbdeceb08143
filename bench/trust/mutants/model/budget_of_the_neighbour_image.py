"""An image keeps what another one of its size has left."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.family:together",
    old="    for image, part in parts:\n",
    new=(
        "    for image, part in [(None if image is None else image.flip(0), part) for "
        "image, part in parts]:\n"
    ),
    source=MADE,
    expected=("equivalence",),
)
