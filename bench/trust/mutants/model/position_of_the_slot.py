"""A visual token gets the position of its slot, not of its representative patch."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="first[:, None] + position.gather(1, visual_slot)",
    new="first[:, None] + visual_slot",
    source=MADE,
    expected=("equivalence", "golden"),
)
