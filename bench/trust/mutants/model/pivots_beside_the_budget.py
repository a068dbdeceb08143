"""DART's pivots are kept beside the budget instead of in it"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.dart:Dart.scores",
    old="max(self.keep.of(slots) - PIVOTS, 0) // (2 * PIVOTS)",
    new="self.keep.of(slots) // (2 * PIVOTS)",
    source="DART, 132 tokens for 128",
    expected=("equivalence",),
)
