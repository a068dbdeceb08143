"""Patches of a merged token are not followed to where it went."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.merging:merge",
    old="moved.gather(1, tokens.owner)",
    new="tokens.owner",
    source=MADE,
    expected=("equivalence", "golden"),
)
