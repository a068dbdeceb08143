"""No block sees a whole image."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.packing:PackedTower.through",
    old="whole if number in self.whole else windows",
    new="windows",
    source=MADE,
    expected=("equivalence",),
)
