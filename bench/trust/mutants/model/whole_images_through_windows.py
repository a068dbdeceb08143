"""No block sees a whole image."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.families.qwen2_5_vl:WindowedTower.through",
    old="whole if number in self.whole else windows",
    new="windows",
    source=MADE,
    expected=("equivalence",),
)
