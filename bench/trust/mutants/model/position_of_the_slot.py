"""A visual token gets the position of its slot, not of its representative patch."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="representative = spots.image.gather(1, position).gather(1, visual_slot)",
    new="representative = spots.image.gather(1, visual_slot)",
    source=MADE,
    expected=("equivalence", "golden"),
)
