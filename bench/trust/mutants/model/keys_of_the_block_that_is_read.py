"""PruMerge ranks by the last block that is read instead of the one behind it"""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.vision:VisionTower.__init__",
    old="self.unread = blocks[used:]",
    new="self.unread = blocks[used - 1 :]",
    source=MADE,
    expected=("equivalence",),
)
