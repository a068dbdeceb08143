"""DART's pivots are kept beside the budget instead of in it"""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.methods.dart:Dart.scores",
    old="(read.count()[:, None] - PIVOTS).clamp(min=0) // (2 * PIVOTS)",
    new="read.count()[:, None] // (2 * PIVOTS)",
    source="DART, 132 tokens for 128",
    expected=("equivalence",),
)
